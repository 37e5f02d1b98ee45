"""What the analysis commands share: flags, the run, the results on disk, and errors in one line.

A command module has ``main(argv=None) -> int``, which calls ``execute`` with an
``analyse(workdir, flags) -> Findings``. Flags live in a fresh ``FlagValues`` each
time, so any number of commands can be imported and called in one process; within
``shared_runs()`` they load a run once between them.
"""

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags

import aejax
from aejax import log_likelihood
from aejax.analysis import results
from aejax.analysis.results import Findings, Outcome
from aejax.errors import UserError
from aejax.sweep import members

# Codes that do in training what they do in encoding; and those that draw wherever the loss is evaluated.
SAME = ("deterministic", "gated", "jump_relu", "k_sparse", "top_k", "vector_quantised")
DRAWN = ("gaussian_noise", "importance_weighted", "learned_noise", "straight_through", "variational")
# Codes that are a Gaussian for each example, to which a prior N(0, I) belongs.
VARIATIONAL = log_likelihood.CODES

WORKDIR = ("workdir", "DIR", "The work directory of a run.")
OF_ALL = ("workdir", "member", "help", "h")  # flags that every command about one run has

_shared: dict[tuple, Any] | None = None


class DoesNotApply(Exception):
    """A question that this run has no answer to, such as one about classes without labels: one line that says why.

    No mistake of the user's: the command prints it, writes nothing and exits with status 0.
    """


def define_best(flags: absl_flags.FlagValues) -> None:
    """The flag ``best``, of commands that read weights."""
    best = "Take the weights with the best valid loss, not the newest; of a sweep, those of its best member."
    absl_flags.DEFINE_boolean("best", False, best, flag_values=flags)


def load(workdir: Path, best: bool = False) -> Any:
    """The run in ``workdir``, as ``aejax.load`` gives it: with its newest weights, or those of the best valid loss."""
    key = (Path(workdir).resolve(), best)
    if _shared is not None and key in _shared:
        return _shared[key]
    run = aejax.load(workdir, best=True) if best else aejax.load(workdir)
    if _shared is not None:
        _shared[key] = run
    return run


@contextlib.contextmanager
def shared_runs() -> Iterator[None]:
    """Within it ``load`` loads a workdir once, so that several analyses of it share what they compile."""
    global _shared
    before, _shared = _shared, {} if _shared is None else _shared
    try:
        yield
    finally:
        _shared = before


def load_autoencoder(workdir: Path, best: bool, question: str) -> Any:
    """``load``, for a question that a classifier, which has no decoder, cannot answer.

    Raises:
      DoesNotApply: the run is a classifier.
    """
    run = load(workdir, best)
    if run.config.get("model") == "classifier":
        raise DoesNotApply(f"{question} needs a decoder, and {workdir} is a classifier")
    return run


def labels_of(split: Any, question: str, source: str) -> Any:
    """The labels [n] of a split of the data set that ``source`` names.

    Raises:
      DoesNotApply: there are none, or all are the same.
    """
    if split.labels is None:
        raise DoesNotApply(f"{question} needs labels, and {source} has none")
    labels = np.asarray(split.labels).astype(np.int64)
    if len(np.unique(labels)) < 2:
        raise DoesNotApply(f"{question} needs two classes or more, and {source} has {len(np.unique(labels))}")
    return labels


def about(run: Any) -> dict[str, Any]:
    """Which model the numbers belong to: the first entries of every JSON file that is about a checkpoint."""
    return {"config": run.config.name, "step": int(run.step), "weights_crc32": results.checksum(run.variables)}


def heading(run: Any) -> str:
    """The same for a figure's title, e.g. ``wta, step 16,000``."""
    return f"{run.config.name}, step {int(run.step):,}"


def noun(run: Any, dataset: Any) -> str:
    """What one example is called: ``image``, ``sound``, ``text`` or ``vector``."""
    h, w, _ = dataset.shape
    return "text" if run.words else "image" if h > 1 else "sound" if w > 1 else "vector"


def training_only(config: Mapping[str, Any], but: Iterable[str] = SAME) -> list[str]:
    """The parts whose masks and noise act in training and are left off in encoding, e.g. ``["code lifetime"]``.

    Args:
      config: of the run.
      but: codes that are not meant.
    """
    classifier = config.get("model") == "classifier"
    corruption, code = config["corruption"]["name"], config["code"]["name"]
    parts = [] if corruption == "none" else [f"corruption {corruption}"]
    parts += [] if classifier or code in but else [f"code {code}"]  # a classifier reads a clean code
    nets = ("encoder",) if classifier else ("encoder", "decoder")
    return parts + [f"{net} dropout" for net in nets if config.get(net, {}).get("dropout")]


def class_names(dataset: Any, labels: Any) -> list[str]:
    """A name for each class number that the labels hold; its digits where the data set names none."""
    names = list(dataset.classes or ())
    return names + [str(i) for i in range(len(names), int(max(labels, default=-1)) + 1)]


def run_analysis(name: str, analyse: Callable, workdir: Path, flags: absl_flags.FlagValues) -> Outcome:
    """Ask the run in ``workdir`` one question and write what is found.

    Args:
      name: the module's name in this package; the results are ``<workdir>/analysis/<name>.png`` and ``.json``.
      analyse: ``analyse(workdir, flags) -> Findings``.
      flags: as ``parse`` gives them.

    Raises:
      UserError: a mistake of the user's, or the results cannot be written; and what else ``analyse`` raises.
    """
    if not workdir.is_dir():
        raise UserError(f"--workdir={workdir}: no such folder; give the work directory of a run")
    try:
        findings = analyse(workdir, flags)
    except DoesNotApply as reason:
        return Outcome(reason=str(reason))
    weights = {"weights": "best"} if "best" in flags and flags.best else {}
    given = [
        flags[flag].serialize() for flag in flags if flag not in OF_ALL and flags[flag].value != flags[flag].default
    ]
    return results.write(workdir, name, findings, given, weights)


def execute(
    name: str,
    analyse: Callable[[Path, absl_flags.FlagValues], Findings],
    argv: Sequence[str] | None = None,
    define: Callable[[absl_flags.FlagValues], None] | None = None,
    sweeps: bool = False,
) -> int:
    """Run one analysis from the command line and write what it finds.

    Args:
      name, analyse: see ``run_analysis``.
      argv: arguments after the program's name; those of the process where None.
      define: defines the command's own flags on the FlagValues that it is given.
      sweeps: the analysis has an answer for a sweep as a whole, where no member is named.

    Returns:
      The exit status: 0, also where the question does not apply to the run, which is told in one line; 2 after a
      user's mistake, told in one line on standard error; 130 after Ctrl-C.
    """

    def answer(flags: absl_flags.FlagValues) -> int:
        outcome = run_analysis(name, analyse, Path(flags.workdir), flags)
        if outcome.reason:
            tell([f"aejax.analysis.{name}: does not apply: {outcome.reason}"])
        else:
            tell([*outcome.summary, *map(str, outcome.pictures), str(outcome.numbers)])
        return 0

    return begin(name, answer, argv, define, inspect.getmodule(analyse).__doc__, sweeps=sweeps)


def _define_best_member(define: Callable | None) -> Callable[[absl_flags.FlagValues], None]:
    """``define``, and the flag ``best`` of a command that reads no weights."""

    def both(flags: absl_flags.FlagValues) -> None:
        about = "Of a sweep, its member with the best valid loss."
        absl_flags.DEFINE_boolean("best", False, about, flag_values=flags)
        if define:
            define(flags)

    return both


def begin(
    name: str,
    body: Callable[[absl_flags.FlagValues], int],
    argv: Sequence[str] | None,
    define: Callable[[absl_flags.FlagValues], None] | None,
    about: str,
    required: tuple[str, str, str] = WORKDIR,
    stopped: str = "nothing was written",
    sweeps: bool = False,
) -> int:
    """Parse the flags and call ``body`` with them: what every command does, whatever it is about.

    Args:
      name: of the command's module.
      body: does the work and returns the exit status.
      argv, define: see ``execute``.
      about: what ``--help`` says above the flags.
      required: name, value and help of the flag that says which run, or runs, it is about.
      stopped: what is told after Ctrl-C.
      sweeps: see ``execute``.

    Returns:
      The status of ``body``; 2 after a user's mistake, told in one line on standard error; 130 after Ctrl-C.
    """
    define = _define_best_member(define) if sweeps else define
    try:
        flags = parse(name, sys.argv[1:] if argv is None else argv, define, required)
        if flags.help:
            tell([about, _describe(flags)])
            return 0
        if required == WORKDIR:
            _choose_member(flags, sweeps)
        return body(flags)
    except UserError as error:
        print(f"aejax.analysis.{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"aejax.analysis.{name}: stopped; {stopped}", file=sys.stderr)
        return 130


def _choose_member(flags: absl_flags.FlagValues, sweeps: bool) -> None:
    """Put the folder of the sweep's member that is meant in the place of the workdir.

    Raises:
      UserError: see ``members.folder``.
    """
    workdir, best = Path(flags.workdir), "best" in flags and flags.best
    if sweeps and best and not members.is_sweep(workdir):
        raise UserError(f"--best: {workdir} is no sweep, and this is not about weights; accepted: without it")
    if not sweeps or best or flags.member is not None:
        flags.workdir = str(members.folder(workdir, flags.member, best))
    if sweeps and best:
        flags.best = False  # it has said which member


def tell(lines: Iterable[str]) -> None:
    """Print the lines; whoever reads them may have seen enough."""
    with contextlib.suppress(BrokenPipeError):
        print("\n".join(lines), flush=True)


def parse(
    name: str,
    argv: Sequence[str],
    define: Callable[[absl_flags.FlagValues], None] | None = None,
    required: tuple[str, str, str] = WORKDIR,
) -> absl_flags.FlagValues:
    """The flags of a command, from the arguments after the program's name; see ``begin``.

    Raises:
      UserError: one is unknown, missing or out of range.
    """
    flags = absl_flags.FlagValues()
    needed, value, meaning = required
    absl_flags.DEFINE_string(needed, None, meaning, flag_values=flags)
    absl_flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", flag_values=flags)
    if required == WORKDIR:
        about = "Of a sweep, which of its models."
        absl_flags.DEFINE_integer("member", None, about, lower_bound=0, flag_values=flags)
    if define:
        define(flags)
    accepted = ", ".join(f"--{flag}" for flag in flags if flag not in ("h", "help"))
    try:
        rest = flags([name, *argv])[1:]
    except absl_flags.Error as error:
        raise UserError(f"{' '.join(str(error).split())}; accepted: {accepted}") from None
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r}; accepted: {accepted}")
    if not flags[needed].value and not flags.help:
        raise UserError(f"--{needed}={value} is missing; accepted: {accepted}")
    return flags


def _describe(flags: absl_flags.FlagValues) -> str:
    shown = [flags[name] for name in flags if name != "h"]
    told = lambda f: "" if f.default in (None, [], "") else f" (default: {_plain(f.default)})"  # noqa: E731
    return "\n".join(f"  --{f.name}: {f.help}" + ("" if f.name == "help" else told(f)) for f in shown)


def _plain(default: Any) -> str:
    """A flag's default as it would be written."""
    return ",".join(map(str, default)) if isinstance(default, list | tuple) else str(default)
