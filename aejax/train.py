"""The one loop: it logs, evaluates, draws and saves; the steps themselves are compiled, many to a call."""

import signal
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from aejax import autoencoder, checkpoint, checks, data, devices, logs, workdirs
from aejax import step as programs
from aejax.checkpoint import Checkpoints
from aejax.data import Dataset, Split, transforms
from aejax.errors import UserError
from aejax.feed import feed

SECONDS_A_CALL = 0.5  # how long a call of the compiled program is aimed to take, so that progress shows and signals work


class Trainer:
    """A run at some step: its state on the devices, what it has measured, and the programs that move it on.

    ``items`` and ``meta`` are what a checkpoint holds: the state, the sums of the
    epoch under way, the statistics of the preprocessing, and the weights with the best valid
    loss so far.
    """

    def __init__(self, config: FrozenConfigDict, dataset: Dataset, mesh: Mesh):
        self.config, self.dataset, self.mesh = config, dataset, mesh
        self.model = autoencoder.Autoencoder(config, dataset.shape)
        self.steps_per_epoch = len(dataset.train) // config.train.batch_size
        self.total = self.steps_per_epoch * config.train.epochs
        self.everywhere = devices.replicated(mesh)
        put = lambda tree: jax.device_put(tree, self.everywhere)  # noqa: E731
        self.arguments = put(autoencoder.arguments(config))
        self.preprocessing = put(transforms.fit(dataset.train))
        self.stretch = programs.make_stretch(self.model, self.total, mesh)
        self.evaluate = programs.make_evaluate(self.model, mesh)
        self.reconstruct = jax.jit(self._reconstruct)
        self._copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))
        self.meta: dict[str, Any] = {
            "shape": list(dataset.shape),
            "preprocessing": {name: list(value.shape) for name, value in self.preprocessing.items()},
            "best_step": -1,
            "best_loss": None,
            "evaluations_since_best": 0,
            "finished": False,
        }
        self.best: Any = None

    # -- starting and saving

    def init(self) -> None:
        """The state before the first step."""
        make = jax.jit(lambda a: programs.init_state(self.model, a), out_shardings=self.everywhere)
        self.state = make(self.arguments)
        self.reset_sums()
        self.step = 0

    def reset_sums(self) -> None:
        self.sums = jax.device_put(programs.zero_sums(self.model), self.everywhere)

    def templates(self) -> dict[str, Any]:
        """The shapes, types and places of a checkpoint's items."""
        state = jax.eval_shape(lambda a: programs.init_state(self.model, a), self.arguments)
        trees = {
            "params": state.params, "opt_state": state.opt_state, "sums": programs.zero_sums(self.model),
            "preprocessing": self.preprocessing, "best": state.params,
        }
        return checkpoint.templates(trees, self.everywhere)

    def restore(self, checkpoints: Checkpoints) -> bool:
        """Go on from the newest checkpoint that can be read; False where there is none."""
        saved = checkpoints.newest(self.templates())
        if saved is None:
            return False
        items = saved.items
        self.step, self.meta = saved.step, saved.meta
        step = jax.device_put(jnp.int32(saved.step), self.everywhere)
        self.state = programs.State(step, items["params"], items["opt_state"])
        self.sums, self.preprocessing, self.best = items["sums"], items["preprocessing"], items.get("best")
        return True

    def save(self, checkpoints: Checkpoints) -> None:
        items = {
            "params": self.state.params, "opt_state": self.state.opt_state, "sums": self.sums,
            "preprocessing": self.preprocessing,
        }
        if self.best is not None:
            items["best"] = self.best
        checkpoints.save(self.step, items, self.meta)

    # -- measuring

    def train_figures(self) -> dict[str, float]:
        """The means over the steps of the epoch so far; the parameters moved meanwhile, and noise was on."""
        sums = jax.device_get(self.sums)
        names = [name for name in sums if name not in ("steps", "first_non_finite")]
        return self._named({name: float(sums[name]) / max(float(sums["steps"]), 1.0) for name in names})

    def split_figures(self, split: Split) -> dict[str, float]:
        """The means over a split, each example once, without noise or masks; active and dead units of the code."""
        rows = max(1, self.config.data.device_bytes // split.images[0].nbytes)
        total: dict[str, Any] = {}
        for start in range(0, len(split), rows):
            images = jax.device_put(split.images[start : start + rows], self.everywhere)
            sums = jax.device_get(self.evaluate(self.state.params, images, self.preprocessing, self.arguments))
            total = {k: total[k] | v if k == "alive" else total[k] + v for k, v in sums.items()} if total else sums
        alive, active = total.pop("alive"), float(total.pop("active"))
        means = self._named({name: float(value) / len(split) for name, value in total.items()})
        return {**means, "active_units": active / len(split), "dead_units": int(np.sum(~alive))}

    def _named(self, means: Mapping[str, float]) -> dict[str, float]:
        per_pixel = means["reconstruction"] / float(np.prod(self.dataset.shape))
        first = {name: means[name] for name in ("loss", "reconstruction")}
        return {**first, "reconstruction_per_pixel": per_pixel, **{k: v for k, v in means.items() if k not in first}}

    def note_valid(self, loss: float) -> None:
        """Keep the weights if this valid loss is the best so far."""
        best = self.meta["best_loss"]
        if best is None or loss < best:
            self.meta.update(best_step=self.step, best_loss=loss, evaluations_since_best=0)
            if self.config.checkpoint.best:
                self.best = self._copy(self.state.params)
        else:
            self.meta["evaluations_since_best"] += 1

    def patience_is_out(self) -> bool:
        patience = self.config.train.early_stopping
        return bool(patience) and self.meta["evaluations_since_best"] >= patience

    def first_non_finite(self) -> int | None:
        """The step whose loss was not finite, or None; steps count from 1."""
        step = int(self.sums["first_non_finite"])
        return None if step < 0 else step + 1

    def weights_are_finite(self) -> bool:
        return all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(self.state.params))

    def _reconstruct(self, params, images, preprocessing):
        x = transforms.prepare(preprocessing, images)
        return x, self.model.apply({"params": params}, x, method="reconstruct")


class Pace:
    """How many steps a call takes: as configured, or about so many seconds' worth once a call has been timed."""

    def __init__(self, steps: int, seconds: float = SECONDS_A_CALL):
        self._fixed, self._seconds, self._calls, self._next = steps, seconds, 0, 1

    def steps(self) -> int:
        return self._fixed or self._next

    def took(self, steps: int, seconds: float) -> None:
        self._calls += 1
        if self._calls > 1:  # the first call compiles
            self._next = max(1, min(8 * steps, round(steps * self._seconds / max(seconds, 1e-6))))


class Signals:
    """Within it, SIGTERM and SIGINT are noted in ``received``, to stop between two calls; a second one stops at once."""

    def __init__(self):
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _frame):
        if self.received is not None:
            sys.exit(128 + number)
        self.received = number
        print(f"\n{signal.Signals(number).name}: saving and stopping", file=sys.stderr)


class Pictures:
    """Test images over their reconstructions, drawn in a thread of its own while training goes on."""

    def __init__(self, trainer: Trainer, workdir: Path):
        self.trainer = trainer
        self.folder = workdir / "figures"
        images = trainer.dataset.test.images if len(trainer.dataset.test) else trainer.dataset.train.images
        chosen = np.linspace(0, len(images) - 1, min(trainer.config.log.figure_images, len(images))).astype(int)
        self._images = images[chosen]
        self._pool = ThreadPoolExecutor(1)
        self._drawing: Future | None = None

    def draw(self, epoch: int) -> None:
        if epoch not in self.trainer.config.log.figure_epochs:
            return
        t = self.trainer
        x, reconstruction = jax.device_get(t.reconstruct(t.state.params, self._images, t.preprocessing))
        self.wait()
        self._drawing = self._pool.submit(self._draw, epoch, x, reconstruction)

    def _draw(self, epoch: int, x: np.ndarray, reconstruction: np.ndarray) -> None:
        from aejax.analysis import figure  # matplotlib takes half a second to import

        self.folder.mkdir(exist_ok=True)
        title = f"{self.trainer.config.name}: test images and their reconstructions after {epoch} epochs"
        figure.save(figure.draw_reconstructions(x, reconstruction, title), self.folder / f"epoch_{epoch:04d}.png")

    def wait(self) -> None:
        """Until the last figure is on the disk; raises what drawing it raised."""
        if self._drawing is not None:
            self._drawing.result()

    def close(self) -> None:
        self._pool.shutdown(wait=True)


def run(config: FrozenConfigDict, workdir: Path | str) -> int:
    """Train a config in a workdir, going on from what is there: 0 when finished, 128 + n when stopped by signal n.

    Raises:
      UserError: a mistake in the config, the data or the workdir; a non-finite loss.
    """
    began = time.monotonic()
    config = FrozenConfigDict(config)
    checks.check(config)
    mesh = devices.mesh(config.mesh.devices)
    with workdirs.opened(Path(workdir), config) as folder:
        dataset = data.load(config.data)
        checks.check_data(config, dataset)
        workdirs.write_config(folder, config)
        trainer = Trainer(config, dataset, mesh)
        checkpoints = Checkpoints(folder, config.checkpoint.keep)
        if not trainer.restore(checkpoints):
            trainer.init()
        if trainer.meta["finished"]:
            print(f"{folder} is finished: {trainer.step} steps. To train anew, name another --workdir.")
            return 0
        if trainer.step:
            print(f"{folder}: going on from step {trainer.step} of {trainer.total}", flush=True)
        return loop(trainer, folder, checkpoints, began)


def loop(trainer: Trainer, workdir: Path, checkpoints: Checkpoints, began: float) -> int:
    """Train to the last step, to the end of patience, or to a signal."""
    config, spe = trainer.config, trainer.steps_per_epoch
    metrics = logs.Metrics(workdir, trainer.step, config.log.tensorboard)
    timing = logs.Timing(workdir)
    progress = logs.Progress(trainer.total, trainer.step, config.train.batch_size, spe)
    pictures = Pictures(trainer, workdir)
    source = feed(
        trainer.dataset.train.images, config.seed, config.train.batch_size, trainer.mesh, config.data.device_bytes
    )
    pace = Pace(config.train.steps_per_call)
    saved = epoch_began = time.monotonic()
    first = epoch_first = trainer.step
    try:
        with Signals() as signals:
            if trainer.step == 0:
                pictures.draw(0)
            while trainer.step < trainer.total and not signals.received and not trainer.patience_is_out():
                now = time.monotonic()
                s = source.at(trainer.step)
                count = min(pace.steps(), s.stop - trainer.step)
                trainer.state, trainer.sums = trainer.stretch(
                    trainer.state, trainer.sums, s.images, s.order, np.int32(s.first), np.int32(count),
                    trainer.preprocessing, trainer.arguments,
                )
                refuse_non_finite(trainer, checkpoints)
                if trainer.step == first:
                    timing.write("first_call", steps=count, seconds=round(time.monotonic() - began, 3))
                trainer.step += count
                seconds = time.monotonic() - now
                pace.took(count, seconds)
                progress.update(trainer.step, count, seconds, {"loss": trainer.train_figures()["loss"]})
                if trainer.step % spe == 0:
                    rate = (trainer.step - epoch_first) * config.train.batch_size / (time.monotonic() - epoch_began)
                    end_epoch(trainer, metrics, progress, pictures)
                    timing.write("epoch", step=trainer.step, examples_per_second=round(rate, 1))
                    epoch_began, epoch_first = time.monotonic(), trainer.step
                if time.monotonic() - saved >= config.checkpoint.seconds:
                    save(trainer, checkpoints)
                    saved = time.monotonic()
            if not signals.received:
                finish(trainer, metrics)
            save(trainer, checkpoints)
            pictures.wait()
    finally:
        progress.close()
        pictures.close()
        source.close()
        metrics.close()
    if signals.received:
        print(f"stopped at step {trainer.step} of {trainer.total}; the same command goes on from there")
        return 128 + signals.received
    print(summary(trainer, workdir, time.monotonic() - began))
    return 0


def end_epoch(trainer: Trainer, metrics: logs.Metrics, progress: logs.Progress, pictures: Pictures) -> None:
    """Write the epoch's line, evaluate valid, draw."""
    epoch = trainer.step // trainer.steps_per_epoch
    figures = trainer.train_figures()
    metrics.write(trainer.step, epoch, "train", figures)
    trainer.reset_sums()
    shown = {"loss": figures["loss"]}
    if len(trainer.dataset.valid) and (epoch % trainer.config.eval.epochs == 0 or trainer.step == trainer.total):
        valid = trainer.split_figures(trainer.dataset.valid)
        metrics.write(trainer.step, epoch, "valid", valid)
        trainer.note_valid(valid["loss"])
        shown["valid"] = valid["loss"]
    progress.epoch_end(trainer.step, shown)
    pictures.draw(epoch)


def finish(trainer: Trainer, metrics: logs.Metrics) -> None:
    """Evaluate test, once, with the last weights."""
    if len(trainer.dataset.test):
        epoch = trainer.step // trainer.steps_per_epoch
        metrics.write(trainer.step, epoch, "test", trainer.split_figures(trainer.dataset.test))
    trainer.meta["finished"] = True


def refuse_non_finite(trainer: Trainer, checkpoints: Checkpoints) -> None:
    bad = trainer.first_non_finite()
    if bad is not None:
        raise UserError(f"the loss is not finite at step {bad}; {last_good(checkpoints)}")


def save(trainer: Trainer, checkpoints: Checkpoints) -> None:
    """Save, but never weights that are not finite."""
    if not trainer.weights_are_finite():
        raise UserError(f"the weights are not finite after step {trainer.step}; {last_good(checkpoints)}")
    trainer.save(checkpoints)


def last_good(checkpoints: Checkpoints) -> str:
    steps = checkpoints.steps()
    where = f"the last good checkpoint is step {steps[-1]}" if steps else "no checkpoint had been saved"
    return f"{where}; a lower config.optim.learning_rate or config.optim.clip_norm above 0 may help, in a new --workdir"


def summary(trainer: Trainer, workdir: Path, seconds: float) -> str:
    """What the run reached, in a line."""
    lines = [line for line in logs.read_lines(workdir / logs.METRICS) if line["split"] == "test"]
    figures = "".join(f", {name} {lines[-1][name]:.5g}" for name in ("loss", "reconstruction_per_pixel") if lines)
    return f"{workdir}: {trainer.step} steps, {seconds:.1f} s in this call; test{figures or ' is empty'}"


