"""The command: flags, what is measured, and where it is written."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from aejax import files
from aejax.analysis.figure import save
from aejax.bench import environment, figures, machine, nets, report, sitting
from aejax.bench.sitting import Framework, Row, Sitting
from aejax.bench.workers import WorkerFailed
from aejax.errors import UserError

USAGE = "python -m aejax.bench [NAME[:PRESET] ...] [--peers] [--workdir=DIR]"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, 2 after a user's mistake told in one line, 130 after Ctrl-C.

    Args:
      argv: arguments after the program's name; those of the process where None.
    """
    try:
        flags, names = _parse(sys.argv[1:] if argv is None else argv)
        if flags.help:
            print(f"usage: {USAGE}\n\n{_describe(flags)}")
            return 0
        return run(flags, names or nets.shipped())
    except (UserError, WorkerFailed) as error:
        print(f"aejax.bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("aejax.bench: stopped; nothing was written", file=sys.stderr)
        return 130


def run(flags: absl_flags.FlagValues, names: Sequence[str]) -> int:
    """Measure the named configs, write and print what was found."""
    configs = {name: nets.load(name, flags.batch, flags.data) for name in names}
    frameworks, missing = _frameworks(flags)
    sittings = []
    with tempfile.TemporaryDirectory(prefix="aejax-bench-") as folder:
        for name, config in configs.items():
            path, shape = nets.save_images(config, Path(folder))
            sittings.append(_sitting(name, config, path, shape, frameworks, missing, flags))
    about = {
        "machine": machine.describe(),
        "settings": {"repeats": flags.repeats, "seconds": flags.seconds, "batch": flags.batch, "data": flags.data},
    }
    workdir = Path(flags.workdir)
    written = report.text(about, sittings)
    caption = f"Training on {about['machine']['processor']}, {about['machine']['cores']} cores, float32"
    try:
        files.write_text(workdir / "bench.md", written + "\n")
        files.write_json(workdir / "bench.json", report.numbers(about, sittings))
        save(report.draw(sittings, caption), workdir / "bench.png")
    except OSError as error:
        raise UserError(f"--workdir={workdir} cannot be written: {error.strerror or error}") from None
    print(written, *("", *(f"{workdir / f'bench.{suffix}'}" for suffix in ("md", "json", "png"))), sep="\n")
    return 0


def _sitting(
    name: str, config: Mapping, images: Path, shape: tuple[int, ...],
    frameworks: Sequence[Framework], missing: str, flags: absl_flags.FlagValues,
) -> Sitting:  # fmt: skip
    """One net measured; ``missing`` is why there are no peers, where they were asked for."""
    ours = {"name": name, "batch": flags.batch, "data": flags.data, "images": str(images)}
    contestants: list[tuple[Framework, Mapping[str, Any]]] = [(sitting.OURS, ours)]
    batch = config["train"]["batch_size"]
    try:
        description = nets.describe(config, shape)
        found = Sitting(name, nets.title(description), batch, figures.arithmetic(description))
        job = {"net": description, "images": str(images), "threads": machine.cores()}
        contestants += [(framework, job) for framework in frameworks]
    except nets.Inexpressible as refusal:
        found, missing = Sitting(name, f"batch {batch}", batch, 0), missing or str(refusal)
    sitting.sit(found, contestants, flags.repeats, flags.seconds, _say)
    if missing and flags.peers:
        found.rows += [Row(framework, missing=missing) for framework in sitting.SCRIPTS]
    return found


def _frameworks(flags: absl_flags.FlagValues) -> tuple[list[Framework], str]:
    """The peers that were asked for, or why there are none."""
    if not flags.peers:
        if flags.peers_python:
            raise UserError("--peers_python has no use without --peers")
        return [], ""
    try:
        if flags.peers_python:
            python = environment.given(flags.peers_python)
        else:
            python = environment.made(environment.FOLDER, environment.REQUIREMENTS, _say)
    except environment.Unavailable as error:
        _say(f"no peers: {error}")
        return [], str(error)
    return sitting.peers(python), ""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parse(argv: Sequence[str]) -> tuple[absl_flags.FlagValues, list[str]]:
    flags = absl_flags.FlagValues()
    here = {"flag_values": flags}
    absl_flags.DEFINE_boolean("peers", False, "Measure PyTorch and Keras too, in .venv-peers, made if need be.", **here)
    absl_flags.DEFINE_string("peers_python", "", "With --peers: an interpreter that has them already.", **here)
    absl_flags.DEFINE_string("workdir", "runs/bench", "Where bench.md, bench.json and bench.png go.", **here)
    absl_flags.DEFINE_integer("batch", 0, "Examples a step; 0: each config's own.", 0, **here)
    absl_flags.DEFINE_string("data", "", "The data set; else the config's, or its stand-in without a download.", **here)
    absl_flags.DEFINE_integer("repeats", 5, "Interleaved repeats.", 1, **here)
    absl_flags.DEFINE_float("seconds", 1.0, "About how long a repeat is.", 0.01, 60.0, **here)
    absl_flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", **here)
    accepted = ", ".join(f"--{flag}" for flag in flags if flag not in ("h", "help"))
    try:
        return flags, flags(["bench", *argv])[1:]
    except absl_flags.Error as error:
        raise UserError(f"{' '.join(str(error).split())}; accepted: {accepted}") from None


def _describe(flags: absl_flags.FlagValues) -> str:
    shown = [flags[name] for name in flags if name != "h"]
    return "\n".join(f"  --{f.name}: {f.help}" + (f" (default: {f.value})" if f.value else "") for f in shown)
