"""``python -m aejax.bench scaling``: the nets that are not measured yet, one after another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from aejax import files
from aejax.analysis.figure import save
from aejax.bench import frameworks, nets, progress, scaling, scaling_plots, scaling_report
from aejax.bench.results import Scalings, writing
from aejax.errors import UserError

NETS = ("shallow", "wta", "conv")  # a small one, one with three million parameters, one of convolutions
DEVICES = (1, 2, 4, 8)
MOST = 64
REPEATS = 3


class Command:
    """What one command measures of scaling.

    Args:
      flags: the command's.
      about: the machine.

    Raises:
      UserError: a flag is none of those accepted; or as ``results.Kept``.
    """

    def __init__(self, flags: absl_flags.FlagValues, about: Mapping[str, Any]):
        self._flags = flags
        self._names = [_name(text) for text in flags.config or NETS]
        for name in self._names:
            nets.load(name, flags.data)
        self._devices = _devices(flags.devices)
        settings = {"repeats": flags.repeats or REPEATS, "seconds": flags.seconds, "data": flags.data}
        about = {**about, "device": "cpu", "accelerator": ""}
        self.results = Scalings(Path(flags.workdir), about, {**settings, "devices": self._devices})

    def measure(self) -> bool:
        """Measure, keep and write; whether there are figures of all.

        Raises:
          UserError: the data of a net cannot be had.
          WorkerFailed: the costs of a net cannot be counted.
        """
        settings, ours = self.results.settings, frameworks.ours("cpu")
        for number, name in enumerate(self._names, start=1):
            say = progress.clocked(f"[{number}/{len(self._names)}] {name}")
            if self.results.has(name) and not self._flags.again:
                say("is measured already (--again measures it anew)")
                continue
            given = (self._devices, ours, settings["repeats"], settings["seconds"], say)
            self.results.add(scaling.measure(name, self._flags.data, *given))
            self._write_text()
        return all(self.results.has(name) for name in self._names)

    def _write_text(self) -> str:
        written, path = scaling_report.text(self.results), self.results.path.with_suffix(".md")
        writing(path, lambda: files.write_text(path, written + "\n"))
        return written

    def tell(self) -> None:
        """Draw and print all that there is."""
        written, path = self._write_text(), self.results.path
        page, picture = scaling_plots.draw(self.results), path.with_suffix(".png")
        writing(picture, lambda: save(page, picture))
        print(written, "", path, path.with_suffix(".md"), picture, sep="\n")


def _name(text: str) -> str:
    """``wta:mnist`` of ``configs/wta.py:mnist``."""
    file, colon, rest = text.partition(":")
    return file.removeprefix("configs/").removesuffix(".py") + colon + rest


def _devices(given: list[str] | None) -> list[int]:
    """
    Raises:
      UserError: they are no numbers of devices.
    """
    found = sorted({int(text) for text in given or map(str, DEVICES) if text.isdecimal()})
    if len(found) != len(given or DEVICES) or not found or not 1 <= found[0] <= found[-1] <= MOST:
        raise UserError(f"--devices={','.join(given)}; accepted: different whole numbers from 1 to {MOST}")
    return found
