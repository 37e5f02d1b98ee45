"""``tfds:NAME``: data that tensorflow-datasets has prepared, read without TensorFlow.

NAME is ``set``, ``set/config`` or ``set:version``; it is looked for in ``data.dir``, or else where
tensorflow-datasets keeps its data ($TFDS_DATA_DIR or ~/tensorflow_datasets). Nothing is downloaded or prepared
here: that needs TensorFlow, and the message says how. The files must be ArrayRecord (or Parquet), which can be
read without it.

The image is the feature ``image``, or the only image feature at the top level; the label is ``label``, or the only
class label. Splits ``train``, ``validation`` (or ``valid``, ``val``) and ``test`` are read, others are left.
Sizes and modes: see ``pixels``; what does not fit in memory: see ``records``.
"""

import difflib
import io
import os
import re
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aejax.data import arrayrecord, pixels, records
from aejax.data.dataset import Source, home, one_line
from aejax.errors import UserError

SPLITS = {"train": "train", "validation": "valid", "valid": "valid", "val": "valid", "test": "test"}
NAME = re.compile(r"[A-Za-z]\w*(/[\w.\-]+)?(:[\d.*]+)?")


def read(data: ConfigDict, rest: str) -> Source:
    """A prepared data set; the module's docstring has the rules.

    Raises:
      UserError: the name is unknown, the set is not prepared or in a format that needs TensorFlow, or it holds no
        images.
    """
    pixels.check(data)
    if not NAME.fullmatch(rest):
        raise UserError(f"data.name=tfds:{rest}: accepted: tfds:SET, tfds:SET/CONFIG, either with :VERSION behind it")
    if data.dir and not os.path.isdir(home(data.dir)):
        raise UserError(f"data.dir={data.dir}: no such folder")
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f"data.name=tfds:{rest}: needs pip install tensorflow-datasets array_record importlib_resources "
            f"({one_line(error)})"
        ) from error
    folder = home(data.dir or tfds.core.constants.DATA_DIR)
    builder = _builder(tfds, rest, data.dir and folder, folder)
    image, label = _features(tfds, rest, builder.info.features)
    found = _records(tfds, rest, builder, folder)
    try:
        return _read(tfds, rest, found, image, label, builder.info.features, data)
    except ImportError as error:
        raise UserError(_prepare(rest, folder, f"reading it needs more ({one_line(error)})")) from error


def _builder(tfds, name: str, given: Path | str, folder: Path):
    """What the files on disk say of the set. Never touches the network."""
    from tensorflow_datasets.core import read_only_builder

    try:
        return read_only_builder.builder_from_files(name, data_dir=given or None)
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(_absent(tfds, name, folder)) from error
    except Exception as error:  # damaged metadata fail in the ways of JSON, protobuf and features
        raise UserError(f"data.name=tfds:{name}: cannot be read from {folder} ({one_line(error)})") from error


def _absent(tfds, name: str, folder: Path) -> str:
    """Why a set was not found: its config is wanted, it is not prepared, or the name is wrong."""
    base = name.partition(":")[0].partition("/")[0]
    if (folder / base).is_dir():
        held = sorted(entry.name for entry in (folder / base).iterdir() if entry.is_dir())
        if held:
            return f"data.name=tfds:{name}: not in {folder / base}, which holds {', '.join(held)}"
    known = tfds.list_builders(with_community_datasets=False)
    if base in known:
        return _prepare(name, folder, f"not prepared in {folder}")
    near = difflib.get_close_matches(base, known, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"data.name=tfds:{name}: tensorflow-datasets knows no {base!r}, and {folder} holds none{hint}"


def _prepare(name: str, folder: Path, why: str) -> str:
    return (
        f"data.name=tfds:{name}: {why}; once, with TensorFlow: pip install tensorflow-cpu, then "
        f"tfds build {name} --file_format=array_record --data_dir={folder}"
    )


def _features(tfds, name: str, features) -> tuple[str, str | None]:
    """(key of the image, key of the label or None)."""
    images = [k for k, f in features.items() if type(f) is tfds.features.Image and f.np_dtype in (np.uint8, np.uint16)]
    labels = [key for key, feature in features.items() if type(feature) is tfds.features.ClassLabel]
    image = "image" if "image" in images else images[0] if len(images) == 1 else None
    if image is None:
        raise UserError(f"data.name=tfds:{name}: no single 8- or 16-bit image among its features {', '.join(features)}")
    return image, "label" if "label" in labels else labels[0] if len(labels) == 1 else None


def _records(tfds, name: str, builder, folder: Path) -> dict:
    """split -> a sequence of serialised examples."""
    parts = {SPLITS[split]: split for split in builder.info.splits if split in SPLITS}
    if "train" not in parts:
        raise UserError(f"data.name=tfds:{name}: has no split train, but {', '.join(builder.info.splits) or 'none'}")
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    try:
        return {part: builder.as_data_source(split, deserialize_method=raw) for part, split in parts.items()}
    except NotImplementedError as error:
        stored = getattr(builder.info.file_format, "value", builder.info.file_format)
        why = f"prepared in {folder} as {stored}, which only TensorFlow reads"
        raise UserError(_prepare(name, folder, why)) from error
    except ImportError as error:
        raise UserError(f"data.name=tfds:{name}: needs pip install array_record ({one_line(error)})") from error
    except Exception as error:  # the readers underneath fail each in its own way
        raise UserError(f"data.name=tfds:{name}: damaged files in {folder} ({one_line(error)})") from error


def _read(tfds, name: str, found: dict, image: str, label: str | None, features, data: ConfigDict) -> Source:
    # Only these two are parsed: other features may need TensorFlow, or be much larger.
    wanted = tfds.features.FeaturesDict({key: features[key] for key in (image, label) if key})
    decoders = {image: tfds.decode.SkipDecoding()}
    stored = arrayrecord.Stored(f"tfds:{name}", found)

    def decode(record: bytes, row: int) -> tuple[np.ndarray, int]:
        try:
            example = wanted.deserialize_example_np(record, decoders=decoders)
        except ImportError:
            raise
        except Exception as error:  # a damaged record
            raise UserError(f"{stored.where(row)}: unreadable record ({one_line(error)})") from error
        encoded, place = io.BytesIO(example[image]), int(example[label]) if label else -1
        return pixels.decode(encoded, stored.where(row), data.size, data.channels), place

    if not len(found["train"]):
        raise UserError(f"data.name=tfds:{name}: its train split is empty")
    firsts = [stored.rows(part).start for part in found if len(found[part])]
    # A label below 0 is how tensorflow-datasets marks examples without one.
    labelled = bool(label) and all(decode(*stored.fetch([row]), row)[1] >= 0 for row in firsts)
    reader = records.Reader(stored.count, stored.fetch, decode, stored.where, data.name, labelled)
    make = reader.divided(data.host_bytes)
    parts = {part: make(stored.rows(part)) for part in found}
    return Source(parts, tuple(features[label].names) if parts["train"].labelled else ())
