"""Downloads with a known hash, from the first mirror that answers, and without ever hanging.

A time-out of the socket is not enough: it does not cover the look-up of a name,
and it counts anew for each address of a host. So each attempt runs in a thread
of its own, and is given up when no byte has arrived for its share of ``QUIET``.
"""

import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from absl import logging

from aejax.data.dataset import one_line
from aejax.errors import UserError

QUIET = 12.0  # seconds without a byte, over all mirrors of a file, before a download is given up


class DownloadError(Exception):
    """No mirror gave the file; the message says why, in a few words."""


def fetch(file: str, sha256: str, mirrors: tuple[str, ...], folder: Path) -> Path:
    """The file in the folder, downloaded from the first mirror that has it unless it is there already.

    Args:
      file: its name, the same on every mirror.
      sha256: its hash, in hexadecimal.
      mirrors: URLs of folders, each ending in a slash.
      folder: where to put it; made where it does not exist.

    Raises:
      DownloadError: no mirror answered in time, or none had the right file.
      UserError: the folder cannot be written.
    """
    reasons = []
    for mirror in mirrors:
        try:
            return _attempt(mirror + file, sha256, file, folder, QUIET / len(mirrors))
        except DownloadError as error:
            reasons.append(f"{urlsplit(mirror).hostname}: {error}")
    raise DownloadError("; ".join(reasons))


def _attempt(url: str, sha256: str, file: str, folder: Path, quiet: float) -> Path:
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    logging.info("downloading %s to %s", url, folder)
    progress = _Progress(file)
    outcome = []

    def run():
        downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=2**16, timeout=quiet)
        try:
            outcome.append(pooch.retrieve(url, f"sha256:{sha256}", file, folder, downloader=downloader))
        except BaseException as error:  # whatever it is, the caller's thread has to see it
            outcome.append(error)

    thread = threading.Thread(target=run, name="download", daemon=True)  # a daemon: it may hang in the resolver
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
        if time.monotonic() - progress.last_byte > quiet and thread.is_alive():
            progress.abandon()
            raise DownloadError(f"no answer in {quiet:.0f} s")
    progress.close()
    return _result(outcome[0], folder, requests)


def _result(outcome: str | BaseException, folder: Path, requests) -> Path:
    match outcome:
        case str():
            return Path(outcome)
        case requests.HTTPError():
            raise DownloadError(f"HTTP status {outcome.response.status_code}") from outcome
        case requests.Timeout():
            raise DownloadError("no answer") from outcome
        case requests.RequestException():
            raise DownloadError("no connection") from outcome
        case ValueError():  # pooch's, for a wrong hash; it has deleted what came
            raise DownloadError("what came does not have the known hash") from outcome
        case OSError():
            raise UserError(
                f"{folder}: cannot be written ({one_line(outcome)}); name another cache by $XDG_CACHE_HOME"
            ) from outcome
        case Exception():  # something of urllib3's that requests does not wrap
            raise DownloadError(one_line(outcome)) from outcome
    raise outcome


class _Progress:
    """The progress bar that pooch drives: tells the watchdog that bytes arrive, and shows them on a terminal."""

    def __init__(self, file: str):
        self.total = 0
        self.last_byte = time.monotonic()
        self._file = file
        self._bar = None
        self._abandoned = False

    def update(self, size: int) -> None:
        if self._abandoned:  # ends the thread's download
            raise DownloadError("abandoned")
        self.last_byte = time.monotonic()
        if self._bar is None and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self.total or None, desc=self._file, unit="B", unit_scale=True)
        if self._bar is not None:
            self._bar.update(size)

    def reset(self) -> None:
        if self._bar is not None:
            self._bar.reset()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def abandon(self) -> None:
        self._abandoned = True
        self.close()
