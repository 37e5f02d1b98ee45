"""The command: flags, what is measured, and where it is written."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from aejax import files
from aejax.analysis.figure import save
from aejax.bench import (
    description,
    environment,
    examples,
    figures,
    frameworks,
    machine,
    nets,
    operators,
    plots,
    progress,
    report,
    scaling_command,
    sitting,
    sweeps_command,
    timing,
)
from aejax.bench.flags import describe, parse
from aejax.bench.results import Results, writing
from aejax.bench.sitting import Row, Sitting
from aejax.bench.workers import WorkerFailed
from aejax.errors import UserError

USAGE = "python -m aejax.bench [NAME[:PRESET][@BATCH] | operators | sweeps | scaling ...] [--peers] [--workdir=DIR]"
OPERATORS, SWEEPS, SCALING = "operators", "sweeps", "scaling"
OF_SCALING = ("config", "devices")  # flags that nothing else reads
# what is no net, and the flags that it does not read
NO_NETS = {
    OPERATORS: ("precision", "data", *OF_SCALING),
    SWEEPS: ("precision", "seconds", *OF_SCALING),
    SCALING: ("precision", "peers", "device"),
}
DEVICES = ("cpu", "gpu")
REPEATS = 5
PRECISIONS = {"cpu": ["float32"], "gpu": ["float32", "bfloat16"]}  # measured unless others are asked for


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 where aejax itself failed at a net, 2 after a user's mistake told in one line, 130 where
    it was stopped.

    Args:
      argv: arguments after the program's name; those of the process where None.
    """
    try:
        flags, names = parse(sys.argv[1:] if argv is None else argv)
        if flags.help:
            print(f"usage: {USAGE}\n\n{describe(flags)}")
            return 0
        return run(flags, list(dict.fromkeys(names or nets.names())))
    except (UserError, WorkerFailed) as error:
        print(f"aejax.bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        told = "stopped; what was done is kept, and the same command (without --again) goes on from there"
        print(f"aejax.bench: {told}", file=sys.stderr)
        return 130


def run(flags: absl_flags.FlagValues, names: Sequence[str]) -> int:
    """Measure what is named and not measured yet; write and print all that there is.

    Raises:
      UserError: a name or a flag is none of those accepted, or has no use.
    """
    refuse_useless(flags, names)
    of_nets = [name for name in names if name not in NO_NETS]
    for name in of_nets:
        nets.load(name, flags.data)  # so that what cannot be is told before anything is measured
    device, accelerator = _device(flags.device)
    about = {**machine.describe(), "device": device, "accelerator": accelerator}
    results = _results(flags, about) if of_nets or OPERATORS in names else None
    swept = sweeps_command.Command(flags, about) if SWEEPS in names else None
    scaled = scaling_command.Command(flags, about) if SCALING in names else None
    python, missing = _peers_python(flags)
    done = True
    if results:
        bench = Bench(flags, device, python, missing, results)
        done = bench.measure(of_nets, OPERATORS in names)
        bench.tell()
    if swept:
        done = swept.measure(python, missing) and done
        swept.tell()
    if scaled:
        done = scaled.measure() and done
        scaled.tell()
    return 0 if done else 1


def refuse_useless(flags: absl_flags.FlagValues, names: Sequence[str]) -> None:
    """
    Raises:
      UserError: a flag was given that nothing named has a use for.
    """
    for flag in ("precision", "data", "seconds", "peers", "device", *OF_SCALING):
        if flags[flag].present and all(flag in NO_NETS.get(name, OF_SCALING) for name in names):
            why = "; they are measured in float32" if flag == "precision" else ""
            raise UserError(f"--{flag} has no use for {' and '.join(names)} alone{why}")


def _results(flags: absl_flags.FlagValues, about: Mapping[str, Any]) -> Results:
    """What there is of nets and operators."""
    asked = flags.precision or PRECISIONS[about["device"]]
    precisions = [precision for precision in nets.PRECISIONS if precision in asked]
    settings = {
        "repeats": flags.repeats or REPEATS, "seconds": flags.seconds, "data": flags.data, "precision": precisions,
        "peers": flags.peers,
    }  # fmt: skip
    return Results(Path(flags.workdir), about, settings)


class Bench:
    """What one command measures: the rows, the flags, and the results so far."""

    def __init__(self, flags: absl_flags.FlagValues, device: str, python: str, missing: str, results: Results):
        self.flags, self.device, self.missing, self.results = flags, device, missing, results
        self.ours = frameworks.ours(device)
        scripts = (frameworks.NET_SCRIPTS, frameworks.OPERATOR_SCRIPTS) if flags.peers else ({}, {})
        self._rows = [frameworks.peers(part, python, device) for part in scripts]

    def measure(self, names: Sequence[str], of_operators: bool) -> bool:
        """Measure the nets, and the operators where they are asked for; whether aejax has figures of all nets."""
        wanted = [(name, precision) for name in names for precision in self.results.settings["precision"]]
        for number, (name, precision) in enumerate(wanted, start=1):
            self.net(name, precision, f"[{number}/{len(wanted)}]")
        if of_operators:
            self.operators()
        return all(self.results.has_net(*one) for one in wanted)

    def net(self, name: str, precision: str, count: str) -> None:
        """One net measured and kept, unless it is there."""
        say = progress.clocked(f"{count} {name}" + (f", {precision}" if precision != "float32" else ""))
        if self.results.has_net(name, precision) and not self.flags.again:
            say("is measured already (--again measures it anew)")
            return
        config = nets.load(name, self.flags.data, precision)
        with tempfile.TemporaryDirectory(prefix="aejax-bench-") as folder:
            saved = examples.save(config, Path(folder))
            ours = {"name": name, "data": self.flags.data, "precision": precision, "classes": list(saved.classes)}
            ours |= {key: path for key, path in saved.paths().items() if key != "mean"}
            found, peers, absent = self._described(name, config, saved)
            jobs = [(self.ours, ours), *peers]
            sitting.sit(found, jobs, self.ours, self.results.settings["repeats"], self.flags.seconds, say)
        found.rows += absent
        self.results.add_net(found)
        self._write_text()

    def _described(self, name: str, config: Mapping, saved: examples.Saved):
        """The sitting, the peers that take part with their jobs, and rows of those that cannot."""
        batch, precision = config["train"]["batch_size"], config["precision"]
        about = {"name": name, "precision": precision, "data": config["data"]["name"], "batch": batch}
        try:
            net = nets.describe(config, saved.shape, len(saved.classes))
        except nets.Inexpressible as refusal:
            absent = [Row(framework.name, missing=self.missing or str(refusal)) for framework in self._rows[0]]
            return Sitting(title=f"batch {batch}", **about), [], absent
        counts = {"parameters": description.parameters(net), "operations": figures.arithmetic(net)}
        found = Sitting(title=description.title(net), **about, **counts)
        suited = [framework for framework in self._rows[0] if frameworks.suits(framework.name, net)]
        if self.missing:
            return found, [], [Row(framework.name, missing=self.missing) for framework in suited]
        job = {"net": net, **saved.paths(), "threads": machine.cores(), "device": self.device}
        return found, [(framework, job) for framework in suited], []

    def operators(self) -> None:
        """The operators that are not there yet measured and kept, one by one."""
        known = [] if self.flags.again else [op.name for op in self.results.operators]
        wanted = [op for op in operators.OPERATORS if operators.name(op) not in known]
        rows = [self.ours, *([] if self.missing else self._rows[1])]
        job = {"threads": machine.cores(), "device": self.device}
        repeats, seconds = self.results.settings["repeats"], self.flags.seconds
        timing.measure(wanted, rows, job, repeats, seconds, progress.clocked("operators"), self._keep_operator)

    def _keep_operator(self, found: timing.Timing) -> None:
        if self.missing:
            found.rows += [Row(framework.name, missing=self.missing) for framework in self._rows[1]]
        self.results.add_operator(found)
        self._write_text()

    def _write_text(self) -> str:
        written = report.text(self.results)
        path = self.results.path.with_suffix(".md")
        writing(path, lambda: files.write_text(path, written + "\n"))
        return written

    def tell(self) -> None:
        """Draw and print all that there is."""
        written, made = self._write_text(), [self.results.path, self.results.path.with_suffix(".md")]
        caption = report.caption(self.results)
        for stem, comparisons in (("bench", self.results.nets), (OPERATORS, self.results.operators)):
            if report.peers(comparisons):
                path = self.results.path.with_name(f"{stem}.png")
                page = plots.draw(comparisons, caption)
                writing(path, lambda path=path, page=page: save(page, path))
                made.append(path)
        print(written, "", *made, sep="\n")


def _device(asked: str) -> tuple[str, str]:
    """ "cpu" or "gpu", and the accelerator's name: what is asked for, else what JAX takes by itself.

    Raises:
      UserError: there is no such device.
    """
    if asked not in ("", *DEVICES):
        raise UserError(f"--device={asked}; accepted: {', '.join(DEVICES)}")
    if asked == "cpu":
        return "cpu", ""
    measure = frameworks.ours(None)
    with sitting.Worker(measure.command, measure.environment) as worker:
        found = worker.ask("device", sitting.LIMIT)
    if found["platform"] == "gpu":
        return "gpu", found["device"]
    if asked:
        raise UserError(f"--device=gpu: JAX sees none here, but {found['platform']}; accepted: cpu")
    return "cpu", ""


def _peers_python(flags: absl_flags.FlagValues) -> tuple[str, str]:
    """The interpreter of the peers that were asked for, or why there is none."""
    if not flags.peers:
        if flags.peers_python:
            raise UserError("--peers_python has no use without --peers")
        return "", ""
    try:
        if flags.peers_python:
            return environment.given(flags.peers_python), ""
        return environment.made(environment.FOLDER, environment.REQUIREMENTS, progress.say), ""
    except environment.Unavailable as error:
        progress.say(f"no peers: {error}")
        return "", str(error)
