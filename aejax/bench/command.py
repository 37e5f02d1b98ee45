"""The command: flags, what is measured, and where it is written."""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
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
    report,
    sitting,
    timing,
)
from aejax.bench.results import Results, writing
from aejax.bench.sitting import Row, Sitting
from aejax.bench.workers import WorkerFailed
from aejax.errors import UserError

USAGE = "python -m aejax.bench [NAME[:PRESET][@BATCH] | operators ...] [--peers] [--workdir=DIR]"
OPERATORS = "operators"
DEVICES = ("cpu", "gpu")
SECONDS = (0.01, 60.0)
PRECISIONS = {"cpu": ["float32"], "gpu": ["float32", "bfloat16"]}  # measured unless others are asked for


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 where aejax itself failed at a net, 2 after a user's mistake told in one line, 130 where
    it was stopped.

    Args:
      argv: arguments after the program's name; those of the process where None.
    """
    try:
        flags, names = _parse(sys.argv[1:] if argv is None else argv)
        if flags.help:
            print(f"usage: {USAGE}\n\n{_describe(flags)}")
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
    ignored = [flag for flag in ("precision", "data") if flags[flag].value and list(names) == [OPERATORS]]
    if ignored:
        raise UserError(f"--{ignored[0]} has no use for operators alone; they are measured in float32")
    for name in names:
        if name != OPERATORS:
            nets.load(name, flags.data)  # so that what cannot be is told before anything is measured
    device, accelerator = _device(flags.device)
    asked = flags.precision or PRECISIONS[device]
    precisions = [precision for precision in nets.PRECISIONS if precision in asked]
    about = {**machine.describe(), "device": device, "accelerator": accelerator}
    settings = {
        "repeats": flags.repeats, "seconds": flags.seconds, "data": flags.data, "precision": precisions,
        "peers": flags.peers,
    }  # fmt: skip
    results = Results(Path(flags.workdir), about, settings)
    python, missing = _peers_python(flags)
    bench = Bench(flags, device, python, missing, results)
    wanted = [(name, precision) for name in names if name != OPERATORS for precision in precisions]
    for number, (name, precision) in enumerate(wanted, start=1):
        bench.net(name, precision, f"[{number}/{len(wanted)}]")
    if OPERATORS in names:
        bench.operators()
    bench.tell()
    return 0 if all(bench.results.has_net(*one) for one in wanted) else 1


class Bench:
    """What one command measures: the rows, the flags, and the results so far."""

    def __init__(self, flags: absl_flags.FlagValues, device: str, python: str, missing: str, results: Results):
        self.flags, self.device, self.missing, self.results = flags, device, missing, results
        self.ours = frameworks.ours(device)
        scripts = (frameworks.NET_SCRIPTS, frameworks.OPERATOR_SCRIPTS) if flags.peers else ({}, {})
        self._rows = [frameworks.peers(part, python, device) for part in scripts]

    def net(self, name: str, precision: str, count: str) -> None:
        """One net measured and kept, unless it is there."""
        say = _clocked(f"{count} {name}" + (f", {precision}" if precision != "float32" else ""))
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
            sitting.sit(found, jobs, self.ours, self.flags.repeats, self.flags.seconds, say)
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
        flags = self.flags
        timing.measure(wanted, rows, job, flags.repeats, flags.seconds, _clocked("operators"), self._keep_operator)

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
        return environment.made(environment.FOLDER, environment.REQUIREMENTS, _say), ""
    except environment.Unavailable as error:
        _say(f"no peers: {error}")
        return "", str(error)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _clocked(prefix: str) -> Callable[[str], None]:
    """Lines of progress: what it is about, and the seconds since this was made."""
    began = time.perf_counter()
    return lambda line: _say(f"{prefix}, {time.perf_counter() - began:.0f} s: {line}")


def _parse(argv: Sequence[str]) -> tuple[absl_flags.FlagValues, list[str]]:
    flags = absl_flags.FlagValues()
    here: dict[str, Any] = {"flag_values": flags}
    absl_flags.DEFINE_boolean("peers", False, "Measure PyTorch, Keras and pythae too, in .venv-peers, made if need be.",
                              **here)  # fmt: skip
    absl_flags.DEFINE_string("peers_python", "", "With --peers: an interpreter that has them already.", **here)
    absl_flags.DEFINE_string("workdir", "runs/bench", "Where results go; what is there already is kept.", **here)
    absl_flags.DEFINE_boolean("again", False, "Measure what is named anew, where it is there already.", **here)
    absl_flags.DEFINE_string("device", "", "cpu or gpu; else the accelerator that JAX sees, or the CPU.", **here)
    absl_flags.DEFINE_list("precision", None, "float32, bfloat16 or both; else float32, and on a GPU both.", **here)
    absl_flags.DEFINE_string("data", "", "The data set; else the config's, or its stand-in without a download.", **here)
    absl_flags.DEFINE_integer("repeats", 5, "Interleaved repeats.", 1, **here)
    absl_flags.DEFINE_float("seconds", 1.0, "About how long a repeat is.", *SECONDS, **here)
    absl_flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", **here)
    accepted = ", ".join(f"--{flag}" for flag in flags if flag not in ("h", "help"))
    try:
        names = flags(["bench", *argv])[1:]
    except absl_flags.Error as error:
        raise UserError(f"{' '.join(str(error).split())}; accepted: {accepted}") from None
    if not flags.workdir:
        raise UserError("--workdir= is empty; accepted: a folder")
    if not SECONDS[0] <= flags.seconds <= SECONDS[1]:  # absl lets NaN pass
        raise UserError(f"--seconds={flags.seconds}; accepted: {SECONDS[0]} to {SECONDS[1]}")
    for precision in [""] if flags.precision == [] else flags.precision or ():
        if precision not in nets.PRECISIONS:
            raise UserError(f"--precision={precision}; accepted: {', '.join(nets.PRECISIONS)}")
    return flags, names


def _describe(flags: absl_flags.FlagValues) -> str:
    shown = [flags[name] for name in flags if name not in ("h", "help")]
    return "\n".join(f"  --{f.name}: {f.help}" + (f" (default: {f.value})" if f.value else "") for f in shown)
