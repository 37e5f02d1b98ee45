"""The peers' environment: made once, with pip, apart from the project's own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from aejax.errors import UserError

REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"
PEERS = ("torch", "keras", "pythae")
FOLDER = Path(__file__).parents[2] / ".venv-peers"


class Unavailable(Exception):
    """The environment cannot be made; the message says why in one line."""


def given(python: str) -> str:
    """The interpreter that ``--peers_python`` names.

    Raises:
      UserError: there is none there, or it has none of the peers.
    """
    path = Path(python).expanduser()
    search = f"import importlib.util as u; print(sum(u.find_spec(n) is not None for n in {PEERS}))"
    try:
        found = subprocess.run([path, "-c", search], capture_output=True, text=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        found = ""
    if not found.isdecimal():
        raise UserError(f"--peers_python={python} is no Python interpreter; accepted: one that has {', '.join(PEERS)}")
    if found == "0":
        raise UserError(f"--peers_python={python} has none of the peers; accepted: one that has {', '.join(PEERS)}")
    return str(path.absolute())


def made(folder: Path, requirements: Path, say: Callable[[str], None]) -> str:
    """The interpreter of the environment in ``folder``, made and filled first where that is not done.

    Raises:
      Unavailable: it cannot be.
    """
    python, stamp = folder / "bin" / "python", folder / "requirements.done"
    wanted = requirements.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    say(f"installing PyTorch, Keras and pythae into {folder.name} (once; several GB on Linux, without a CPU build)")
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(python), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(requirements)])
    stamp.write_text(wanted)
    return str(python)


def _run(command: list[str]) -> None:
    """A command whose output goes to standard error as it comes.

    Raises:
      Unavailable: it failed; its last line about an error tells how.
    """
    lines: list[str] = []
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError as error:
        raise Unavailable(f"{Path(command[0]).name} cannot be started: {error.strerror}") from None
    with process:
        for line in process.stdout:
            lines.append(line.strip())
            print(f"  {line.rstrip()}", file=sys.stderr, flush=True)
    if process.returncode:
        errors = [line for line in lines if "error" in line.lower()] or [line for line in lines if line]
        raise Unavailable(f"{' '.join(command[1:4])} failed: {(errors or ['without a word'])[-1][:300]}")
