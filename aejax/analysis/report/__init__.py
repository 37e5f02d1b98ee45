"""What is there to know about this run? Everything that applies to it, on one page of HTML that needs nothing else.

Asks every analysis in turn, as its own command would, and puts pictures, words and numbers
into ``<workdir>/analysis/report.html``. Results that are on disk already, of the same step and
weights, are taken as they are.
"""

import importlib
import inspect
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags
from tqdm import tqdm

from aejax import files, logs, workdirs
from aejax.analysis import command, results, tables
from aejax.analysis.report import page, provenance
from aejax.data.dataset import one_line
from aejax.errors import UserError

# In the order in which a reader wants them.
ANALYSES = (
    *("losses", "reconstructions", "filters", "activations", "latents", "grid", "neighbours", "probe"),
    *("interpolation", "walk", "samples", "denoise", "sparsity", "jacobian", "hashing", "likelihood", "gradients"),
)


def modules() -> dict[str, ModuleType]:
    """The modules of ``ANALYSES``."""
    return {name: importlib.import_module(f"aejax.analysis.{name}") for name in ANALYSES}


def chosen(known: Sequence[str], only: Sequence[str], skip: Sequence[str]) -> list[str]:
    """Those of the known names that ``only`` names, all where it is empty, without those that ``skip`` names.

    Raises:
      UserError: one of them is not known, or none is left.
    """
    for flag, names in (("only", only), ("skip", skip)):
        if unknown := [name for name in names if name not in known]:
            raise UserError(f"--{flag}={','.join(names)}: no analysis {unknown[0]!r}; accepted: {', '.join(known)}")
    left = [name for name in known if name in (only or known) and name not in skip]
    if not left:
        raise UserError(f"--skip={','.join(skip)} leaves nothing of --only; accepted: {', '.join(known)}")
    return left


def question(module: ModuleType) -> str:
    """What a module answers: the first sentence, or question, of its docstring."""
    text = " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())
    ends = [text.find(mark) + 1 for mark in ("? ", ". ") if mark in text]
    return text[: min(ends)] if ends else text


def is_current(numbers: Mapping[str, Any], run: Any, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether numbers on disk are of the run's step and weights; those about no weights, of the newest line.

    Args:
      numbers: of an analysis, as its JSON file holds them.
      run: with the weights asked about.
      rows: the lines of metrics.jsonl.
    """
    if "weights_crc32" in numbers:
        weights = command.about(run)
        return all(numbers.get(key) == weights[key] for key in ("step", "weights_crc32"))
    return bool(rows) and numbers.get("step") == max(row.get("step", 0) for row in rows)


def reusable(name: str, workdir: Path, flags: absl_flags.FlagValues, run: Any) -> results.Outcome | None:
    """The outcome on disk where it is of the weights asked about; None where there is none, or of others."""
    found = results.read(workdir, name)
    if found is None or not is_current(found[1], run, files.read_lines(workdir / logs.METRICS)):
        return None
    if "weights_crc32" not in found[1]:
        # It reads metrics alone, which may have got lines since at the same step.
        metrics = workdir / logs.METRICS
        if "best" in flags or found[0].numbers.stat().st_mtime < metrics.stat().st_mtime:
            return None
    return found[0]


def ask(name: str, module: ModuleType, workdir: Path, run: Any, best: bool, again: bool) -> page.Section:
    """Ask one analysis, or take what it wrote before; one that fails is told and stops nothing."""
    define = getattr(module, "define", None)
    given = [f"--workdir={workdir}"]
    flags = command.parse(name, given, define)
    if best and "best" in flags:
        flags = command.parse(name, [*given, "--best"], define)
    known = {"name": name, "question": question(module), "workdir": workdir}
    if not again and (found := reusable(name, workdir, flags, run)):
        return page.Section(**known, outcome=found, reused=True)
    try:
        return page.Section(**known, outcome=command.run_analysis(name, module.analyse, workdir, flags))
    except UserError as error:
        return page.Section(**known, failure=one_line(error))
    except Exception as error:  # whatever one analysis raises, the others have their say
        return page.Section(**known, failure=f"{type(error).__name__}: {one_line(error)}")


def ask_all(found: Mapping[str, ModuleType], workdir: Path, run: Any, best: bool, again: bool) -> list[page.Section]:
    """Ask every one, with a bar on a terminal and a line each elsewhere."""
    sections = []
    with tqdm(total=len(found), unit="analysis", disable=None, leave=False) as bar:
        for number, (name, module) in enumerate(found.items(), start=1):
            bar.set_description_str(name)
            began = time.monotonic()
            sections.append(ask(name, module, workdir, run, best, again))
            if bar.disable:
                took = tables.duration(time.monotonic() - began)
                command.tell([f"[{number}/{len(found)}] {name}: {how(sections[-1])} ({took})"])
            bar.update()
    return sections


def how(section: page.Section) -> str:
    """What came of an analysis, in a few words."""
    if section.failure:
        return f"failed: {section.failure}"
    return "reused" if section.reused else "done" if section.applies else f"does not apply: {section.outcome.reason}"


def facts(run: Any, workdir: Path, best: bool) -> dict[str, Any]:
    """What a reader wants to know of a run first, by label."""
    timing = files.read_lines(workdir / logs.TIMING)
    rates = [row["examples_per_second"] for row in timing if "examples_per_second" in row]
    sizes = [np.size(leaf) for leaf in jax.tree.leaves(run.variables["params"])]
    return {
        "Folder": str(workdir),
        "Data": run.config.data.name,
        "Code": f"{run.config.code.name}, {'×'.join(map(str, run.code_shape))}",
        "Parameters": int(sum(sizes)),
        "Step": int(run.step),
        "Weights": "best valid loss" if best else "newest",
        "Training time": tables.duration(provenance.seconds(timing)) if timing else None,
        "Training speed": f"{np.median(rates):,.0f} examples/s" if rates else None,
    }


def finals(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Split -> figure -> its last value in the lines of metrics.jsonl; train, valid and test in that order."""
    last: dict[str, dict[str, Any]] = {}
    for row in rows:
        last.setdefault(row["split"], {}).update({key: row[key] for key in row if key != "split"})
    return dict(sorted(last.items(), key=lambda item: ("train", "valid", "test", item[0]).index(item[0])))


def summarise(sections: Sequence[page.Section]) -> list[str]:
    """How many analyses have answered, and which were reused, do not apply or failed."""
    reused = [section.name for section in sections if section.reused]
    other = [section.name for section in sections if not section.applies and not section.failure]
    lines = [f"{sum(section.applies for section in sections)} of {len(sections)} analyses have an answer."]
    if reused:
        lines.append(f"Reused, since they are of the same step and weights (--again redoes them): {', '.join(reused)}.")
    if other:
        lines.append(f"Do not apply to this run: {', '.join(other)}.")
    return lines + [f"Failed: {section.name}: {section.failure}" for section in sections if section.failure]


def compose(flags: absl_flags.FlagValues) -> int:
    """Ask, write the page, and tell: the exit status, 1 where an analysis failed."""
    found, workdir = modules(), Path(flags.workdir)
    names = chosen(list(found), flags.only, flags.skip)
    config = workdirs.read_config(workdir)
    with command.shared_runs():
        run = command.load(workdir, flags.best)
        sections = ask_all({name: found[name] for name in names}, workdir, run, flags.best, flags.again)
    report = page.Report(
        title=f"{command.heading(run)}{', best weights' if flags.best else ''}",
        facts=facts(run, workdir, flags.best),
        training=provenance.training_command(config, workdir),
        finals=finals(files.read_lines(workdir / logs.METRICS)),
        differences=[d for d in provenance.differences(config, provenance.defaults()) if d[0] != "name"],
        config=config,
        sections=sections,
        left_out=[name for name in found if name not in names],
    )
    path = workdir / results.FOLDER / "report.html"
    try:
        files.write_text(path, page.page(report))
    except OSError as error:
        raise UserError(f"--workdir={workdir}: cannot write {path}: {error.strerror or error}") from error
    command.tell([*summarise(sections), str(path)])
    return 1 if any(section.failure for section in sections) else 0


def define(flags) -> None:
    """The flags of this command."""
    command.define_best(flags)
    absl_flags.DEFINE_list("only", [], "Ask these alone, by commas.", flag_values=flags)
    absl_flags.DEFINE_list("skip", [], "Leave these out, by commas.", flag_values=flags)
    again = "Ask anew where results of the same step and weights are on disk."
    absl_flags.DEFINE_boolean("again", False, again, flag_values=flags)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m aejax.analysis.report --workdir=DIR [--only=NAME,…] [--skip=NAME,…] [--again] [--best]``."""
    stopped = "what was found stays, and the same command goes on from there"
    return command.begin("report", compose, argv, define, __doc__, stopped=stopped)
