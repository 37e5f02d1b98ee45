"""The one loop: it logs, evaluates, draws and saves; the steps themselves are compiled, many to a call."""

import functools
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ml_collections import FrozenConfigDict

from aejax import checkpoint, checks, files, greedy, logs, workdirs
from aejax.checkpoint import Checkpoints
from aejax.errors import Diverged, UserError
from aejax.feed import feed
from aejax.host import Host, of_process
from aejax.pictures import Pictures
from aejax.sweep import members
from aejax.trainer import Trainer

SECONDS_A_CALL = 0.5  # what a call of the compiled program is aimed to take, so that progress shows and signals work


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


def run(config: FrozenConfigDict, workdir: Path | str, host: Host | None = None) -> int:
    """Train a config in a workdir, going on from what is there: 0 when finished, 128 + n when stopped by signal n.

    Args:
      config: of one model; ``aejax.sweep.run`` trains those of a sweep.
      workdir: the run's folder.
      host: what stands around the run; the process itself unless given.

    Raises:
      UserError: a mistake in the config, the data or the workdir; a non-finite loss.
    """
    began = time.monotonic()
    config, host = FrozenConfigDict(config), host or of_process()
    checks.check(config)
    refuse_sweep(config)
    mesh = host.mesh(config)
    with host.opened(Path(workdir), config) as folder:
        refuse_member(folder)
        dataset = host.dataset(config.data)
        checks.check_data(config, dataset)
        trainer = Trainer(config, dataset, mesh)
        checkpoints = Checkpoints(folder, config.checkpoint.keep)
        if status := begin(trainer, folder, host, fresh=not trainer.restore(checkpoints)):
            return status
        if trainer.meta["finished"]:
            host.say(f"{folder} is finished: {trainer.step} steps. To train anew, name another --workdir.")
            return 0
        if trainer.step:
            host.say(f"{folder}: going on from step {trainer.step} of {trainer.total}")
        return loop(trainer, folder, checkpoints, began, host)


def refuse_sweep(config: FrozenConfigDict) -> None:
    """
    Raises:
      UserError: the config is that of a sweep.
    """
    if members.specified(config):
        keys = ", ".join(f"config.sweep.{key}" for key in members.specified(config))
        raise UserError(f"{keys}: several models, where one is asked for; accepted: an empty config.sweep")


def refuse_member(workdir: Path) -> None:
    """
    Raises:
      UserError: the workdir is that of a member which trained in a stack.
    """
    if (workdir / checkpoint.LANE).exists():
        raise UserError(f"--workdir={workdir} is one of a sweep's members, trained together; accepted: the sweep's own")


def begin(trainer: Trainer, folder: Path, host: Host, fresh: bool) -> int:
    """Write the config and, in a fresh folder, make the state before the first step: 0, or the status of a layer's run
    that was stopped."""
    config = trainer.config
    if fresh:
        trainer.init()
    if host.writes:
        workdirs.write_config(folder, config)  # not before: a config that is refused leaves the folder free
    if fresh and config.greedy.epochs:
        if status := greedy.train(config, folder, functools.partial(run, host=host.layer()), host.say):
            return status
        trainer.take(greedy.assembled(config, folder, trainer.state.variables))
    return 0


def loop(trainer: Trainer, workdir: Path, checkpoints: Checkpoints, began: float, host: Host) -> int:
    """Train to the last step, to the end of patience, or to a signal."""
    config, spe = trainer.config, trainer.steps_per_epoch
    metrics = host.metrics(workdir, trainer.step, config.log.tensorboard)
    timing = host.timing(workdir)
    progress = host.progress(trainer.total, trainer.step, config.train.batch_size, spe)
    pictures = Pictures(trainer, workdir, host.writes)
    train, batch = trainer.dataset.train, config.train.batch_size
    source = feed(train, config.seed, batch, trainer.mesh, config.data, trainer.total, trainer.labelled)
    pace = Pace(config.train.steps_per_call)
    saved = epoch_began = time.monotonic()
    first = epoch_first = trainer.step
    waited = 0.0  # up to the epoch's beginning
    received = None
    try:
        with host.signals() as signals:
            if trainer.step == 0:
                pictures.draw(0)
            elif curve_of_test(config.eval, *divmod(trainer.step, spe)):
                test(trainer, metrics)  # its line was dropped on resuming at this very step
            while trainer.step < trainer.total and not trainer.patience_is_out():
                now = time.monotonic()
                s = source.at(trainer.step)
                count = min(pace.steps(), s.stop - trainer.step)
                count, due, received = host.agreed(count, now - saved >= config.checkpoint.seconds, signals.received)
                if received:
                    break
                trainer.state, trainer.sums = trainer.programs.stretch(
                    trainer.state, trainer.sums, s.examples, s.order, np.int32(s.first), np.int32(count),
                    trainer.preprocessing, trainer.arguments,
                )
                refuse_non_finite(trainer, checkpoints)
                if trainer.step == first:
                    pictures.begin()
                    timing.write("first_call", steps=count, seconds=round(time.monotonic() - began, 3))
                trainer.step += count
                seconds = time.monotonic() - now
                pace.took(count, seconds)
                progress.update(trainer.step, count, seconds, {"loss": trainer.train_figures()["loss"]})
                if trainer.step % spe == 0:
                    took = time.monotonic() - epoch_began
                    figures = {"examples_per_second": round((trainer.step - epoch_first) * batch / took, 1)}
                    figures["waiting"] = round((source.waited - waited) / took, 4)
                    end_epoch(trainer, metrics, progress, pictures)
                    timing.write("epoch", step=trainer.step, **figures)
                    epoch_began, epoch_first, waited = time.monotonic(), trainer.step, source.waited
                if due:
                    save(trainer, checkpoints)
                    saved = time.monotonic()
            *_, received = host.agreed(0, False, received or signals.received)
            if not received:
                finish(trainer, metrics)
            save(trainer, checkpoints)
            pictures.wait()
    finally:
        progress.close()
        pictures.close()
        source.close()
        metrics.close()
    if received:
        host.say(f"stopped at step {trainer.step} of {trainer.total}; the same command goes on from there")
        return 128 + received
    if host.writes:
        host.say(summary(trainer, workdir, time.monotonic() - began))
    return 0


def end_epoch(trainer: Trainer, metrics: logs.Metrics, progress: logs.Progress, pictures: Pictures) -> None:
    """Write the epoch's line, evaluate valid, draw."""
    epoch = trainer.step // trainer.steps_per_epoch
    figures = trainer.train_figures()
    metrics.write(trainer.step, epoch, "train", figures)
    trainer.reset_sums()
    shown = {"loss": figures["loss"]}
    if len(trainer.dataset.valid) and (epoch % trainer.config.eval.epochs == 0 or trainer.step == trainer.total):
        shown["valid"] = validate(trainer, metrics, epoch)
    if curve_of_test(trainer.config.eval, epoch, 0):
        test(trainer, metrics)
    progress.epoch_end(trainer.step, shown)
    pictures.draw(epoch)


def validate(trainer: Trainer, metrics: logs.Metrics, epoch: int) -> float:
    """Write the line of valid, and give its loss."""
    valid = trainer.split_figures(trainer.dataset.valid)
    metrics.write(trainer.step, epoch, "valid", valid)
    trainer.note_valid(valid["loss"])
    return valid["loss"]


def finish(trainer: Trainer, metrics: logs.Metrics) -> None:
    """Evaluate test with the last weights; valid too of a stack that stays as its layers made it."""
    if not trainer.total and len(trainer.dataset.valid):
        validate(trainer, metrics, 0)
    if trainer.tested != trainer.step:
        test(trainer, metrics)
    trainer.meta["finished"] = True


def test(trainer: Trainer, metrics: logs.Metrics) -> None:
    """Write the line of test, where there is one."""
    if len(trainer.dataset.test):
        epoch = trainer.step // trainer.steps_per_epoch
        metrics.write(trainer.step, epoch, "test", trainer.split_figures(trainer.dataset.test))
    trainer.tested = trainer.step


def curve_of_test(section: Mapping, epoch: int, rest: int) -> bool:
    """Whether test is evaluated after so many epochs and ``rest`` steps, by the section ``eval``."""
    return section["test"] and epoch > 0 and rest == 0 and epoch % section["epochs"] == 0


def refuse_non_finite(trainer: Trainer, checkpoints: Checkpoints) -> None:
    bad = trainer.first_non_finite()
    if bad is not None:
        raise Diverged(f"the loss is not finite at step {bad}; {last_good(checkpoints)}")


def save(trainer: Trainer, checkpoints: Checkpoints) -> None:
    """Save, but never weights that are not finite."""
    if not trainer.weights_are_finite():
        raise Diverged(f"the weights are not finite after step {trainer.step}; {last_good(checkpoints)}")
    trainer.save(checkpoints)


def last_good(checkpoints: Checkpoints) -> str:
    steps = checkpoints.steps()
    where = f"the last good checkpoint is step {steps[-1]}" if steps else "no checkpoint had been saved"
    return f"{where}; a lower config.optim.learning_rate or config.optim.clip_norm above 0 may help, in a new --workdir"


def summary(trainer: Trainer, workdir: Path, seconds: float) -> str:
    """What the run reached, in a line."""
    lines = [line for line in files.read_lines(workdir / logs.METRICS) if line["split"] == "test"]
    shown = [name for name in ("loss", "reconstruction_per_pixel", "error") if lines and name in lines[-1]]
    figures = "".join(f", {name} {lines[-1][name]:.5g}" for name in shown)
    return f"{workdir}: {trainer.step} steps, {seconds:.1f} s in this call; test{figures or ' is empty'}"
