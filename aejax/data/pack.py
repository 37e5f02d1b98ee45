"""``python -m aejax.data.pack --images=PATH --out=DIR``: an image folder as the files that ``arrayrecord:DIR`` reads.

PATH is what ``folder:PATH`` reads; splits, classes and order are the same under either name. Records are the files of
the folder as they are; with ``--pixels`` they are the images that these decode to, at ``--size`` and ``--channels``,
which take more room and less time to read. A split is written in ``--shards`` files, or one for each GiB. No more than
a few images are in memory.
"""

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from absl import flags as absl_flags

from aejax import files
from aejax.data import arrayrecord, folder, records
from aejax.data.dataset import home, one_line
from aejax.errors import UserError
from configs.base import base

USAGE = "python -m aejax.data.pack --images=PATH --out=DIR [--pixels [--size=N] [--channels=1|3]] [--shards=N]"
GIB = 2**30

Store = Callable[[list[int]], list[bytes]]  # places in the folder -> records


def pack(images: str, out: Path, pixels: bool, size: int, channels: int, shards: int) -> list[Path]:
    """Writes the files; returns those of records.

    Args:
      images: the path of the folder, or of an archive of it.
      out: the folder to write, which must hold no records.
      pixels: whether records are decoded images.
      size, channels: of these, as ``data.size`` and ``data.channels``.
      shards: files a split; 0 takes one for each GiB of it.

    Raises:
      UserError: the folder cannot be read, or ``out`` not be written.
    """
    data = base().data
    data.update(name=f"folder:{images}", size=size, channels=channels)
    found, reader = folder.opened(data, images)
    if any(out.glob(f"*{arrayrecord.SUFFIX}")):
        raise UserError(f"--out={out}: holds records already; accepted: another folder, or an empty one")
    store, nbytes = _pixels(reader) if pixels else _files(reader)
    try:
        written = []
        for part, (rows, labels) in found.divide(lambda rows, labels: (rows, labels)).items():
            count = shards or -(-nbytes(rows) // GIB)
            written += _write(out, part, rows, min(max(count, 1), rows.stop - rows.start), store)
            if labels is not None:
                np.save(out / f"{part}.labels.npy", labels)
        if found.classes:
            files.write_text(out / "classes.txt", "\n".join(found.classes) + "\n")
    except OSError as error:
        raise UserError(f"--out={out}: cannot be written ({one_line(error)})") from error
    return written


def _files(reader: records.Reader) -> tuple[Store, Callable[[slice], int]]:
    """(records that are the files, how many bytes there are of them)."""

    def nbytes(rows: slice) -> int:
        return sum(path.stat().st_size for path in reader.fetch(list(range(rows.start, rows.stop))))

    return lambda rows: [path.read_bytes() for path in reader.fetch(rows)], nbytes


def _pixels(reader: records.Reader) -> tuple[Store, Callable[[slice], int]]:
    """(records that are arrays, how many bytes there are of them)."""

    def store(rows: list[int]) -> list[bytes]:
        return [_array(image) for image in reader.read(rows, threads=0)[0]]

    return store, lambda rows: (rows.stop - rows.start) * len(_array(np.zeros(reader.shape, np.uint8)))


def _array(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, image)
    return file.getvalue()


def _write(out: Path, part: str, rows: slice, shards: int, store: Store) -> list[Path]:
    from array_record.python.array_record_module import ArrayRecordWriter

    ends = [rows.start + (rows.stop - rows.start) * i // shards for i in range(shards + 1)]
    written = []
    for i, (start, stop) in enumerate(zip(ends, ends[1:], strict=False)):
        path = out / f"{part}-{i:05d}-of-{shards:05d}{arrayrecord.SUFFIX}"
        with files.replacing(path) as temporary:
            writer = ArrayRecordWriter(str(temporary), "group_size:1")
            for first in range(start, stop, records.PART):
                for record in store(list(range(first, min(first + records.PART, stop)))):
                    writer.write(record)
            writer.close()
        written.append(path)
    return written


def _parse(argv: Sequence[str]) -> absl_flags.FlagValues:
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_string("images", None, "the folder of images", flag_values=values)
    absl_flags.DEFINE_string("out", None, "the folder to write", flag_values=values)
    absl_flags.DEFINE_boolean("pixels", False, "store decoded images", flag_values=values)
    absl_flags.DEFINE_integer("size", 0, "as data.size", lower_bound=0, flag_values=values)
    absl_flags.DEFINE_integer("channels", 0, "as data.channels", flag_values=values)
    absl_flags.DEFINE_integer("shards", 0, "files a split", lower_bound=0, flag_values=values)
    try:
        rest = values(["aejax.data.pack", *argv])[1:]
    except absl_flags.Error as error:
        raise UserError(f"{' '.join(str(error).split())}; usage: {USAGE}") from None
    if rest or not values.images or not values.out:
        raise UserError(f"{'unexpected ' + rest[0] if rest else 'no --images or no --out'}; usage: {USAGE}")
    if (values.size or values.channels) and not values.pixels:
        raise UserError("--size and --channels: read with --pixels alone; data.size and data.channels convert files")
    return values


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 2 after a user's mistake, told in one line on standard error."""
    try:
        given = _parse(sys.argv[1:] if argv is None else argv)
        out = home(given.out)
        written = pack(given.images, out, given.pixels, given.size, given.channels, given.shards)
    except UserError as error:
        print(f"aejax.data.pack: {error}", file=sys.stderr)
        return 2
    print(f"{len(written)} files in {out}: --config.data.name=arrayrecord:{given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
