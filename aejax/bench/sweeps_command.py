"""``python -m aejax.bench sweeps``: the experiments that are not measured yet, one after another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from aejax import files
from aejax.bench import experiments, frameworks, progress, sweeps, sweeps_report
from aejax.bench.results import Sweeps, writing

REPEATS = 1  # a round of an experiment takes about a minute


class Command:
    """What one command measures of sweeps.

    Args:
      flags: the command's.
      about: the machine.

    Raises:
      UserError: the data cannot be had or trained on; or as ``results.Kept``.
    """

    def __init__(self, flags: absl_flags.FlagValues, about: Mapping[str, Any]):
        self._flags, self._device = flags, about["device"]
        self._experiments = [one for one in experiments.EXPERIMENTS if self._device in one.devices]
        sweeps.check(self._experiments, flags.data)
        settings = {"repeats": flags.repeats or REPEATS, "data": flags.data, "peers": flags.peers}
        self.results = Sweeps(Path(flags.workdir), about, settings)

    def measure(self, python: str, missing: str) -> bool:
        """Measure, keep and write; whether aejax has figures of all.

        Args:
          python: the peers' interpreter.
          missing: why there is none of the peers that were asked for.
        """
        ours = frameworks.ours(self._device)
        peers = frameworks.peers(frameworks.SWEEP_SCRIPTS, python, self._device) if self._flags.peers else []
        repeats = self.results.settings["repeats"]
        for number, one in enumerate(self._experiments, start=1):
            say = progress.clocked(f"[{number}/{len(self._experiments)}] {one.title}")
            if self.results.has(one.title) and not self._flags.again:
                say("is measured already (--again measures it anew)")
                continue
            workers = sweeps.Workers(ours, peers, missing, self._device)
            self.results.add(sweeps.measure(one, self._flags.data, workers, repeats, say))
            self._write_text()
        return all(self.results.has(one.title) for one in self._experiments)

    def _write_text(self) -> str:
        written = sweeps_report.text(self.results)
        path = self.results.path.with_suffix(".md")
        writing(path, lambda: files.write_text(path, written + "\n"))
        return written

    def tell(self) -> None:
        """Print all that there is."""
        print(self._write_text(), "", self.results.path, self.results.path.with_suffix(".md"), sep="\n")
