"""Figures drawn while training goes on."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np

from aejax.trainer import Trainer


class Pictures:
    """Test images over their reconstructions, drawn in a thread of its own while training goes on.

    Not before ``begin``: importing matplotlib would keep the first step waiting. All processes of a run compute them,
    and one draws.
    """

    def __init__(self, trainer: Trainer, workdir: Path, draws: bool = True):
        self.trainer, self._draws = trainer, draws
        self.folder = workdir / "figures"
        self._split = "test" if len(trainer.dataset.test) else "train"
        images = getattr(trainer.dataset, self._split).images
        chosen = np.linspace(0, len(images) - 1, min(trainer.config.log.figure_images, len(images))).astype(int)
        self._images = images[chosen]
        self._pool = ThreadPoolExecutor(1)
        self._drawing: Future | None = None
        self._begun = threading.Event()

    def draw(self, epoch: int) -> None:
        """Draw after this epoch, if it is among those chosen; the last one always is where any is."""
        t = self.trainer
        chosen = t.config.log.figure_epochs if t.config.model == "autoencoder" else ()
        if epoch not in chosen and not (chosen and t.step == t.total):
            return
        x, reconstruction = jax.device_get(t.reconstruct(t.state.variables, self._images, t.preprocessing))
        self.wait()
        if not self._draws:
            return
        self._drawing = self._pool.submit(self._draw, epoch, x, reconstruction)

    def _draw(self, epoch: int, x: np.ndarray, reconstruction: np.ndarray) -> None:
        self._begun.wait()
        from aejax.analysis import figure, reconstructions, views  # matplotlib takes half a second to import

        self.folder.mkdir(exist_ok=True)
        config, examples = self.trainer.config, "images" if x.shape[1] > 1 else "examples"
        reconstruction = reconstructions.expected(reconstruction, x, config.loss.likelihood)
        after = f"after {epoch} epoch{'' if epoch == 1 else 's'}"
        title = f"{config.name}: {self._split} {examples} and their reconstructions {after}"
        if self.trainer.masked:
            title += ", from the winners among these"
        if notes := "; ".join(filter(None, (views.layout(x.shape[1:]), views.scale(x)))):
            title += f"\n{notes}"
        figure.save(figure.draw_reconstructions(x, reconstruction, title), self.folder / f"epoch_{epoch:04d}.png")

    def begin(self) -> None:
        """Figures may be drawn from now on."""
        self._begun.set()

    def wait(self) -> None:
        """Until the last figure is on the disk; raises what drawing it raised."""
        if self._drawing is not None:
            self.begin()
            self._drawing.result()

    def close(self) -> None:
        self.begin()
        self._pool.shutdown(wait=True)
