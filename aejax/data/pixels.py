"""Images of any Pillow mode and size -> one uint8 array.

* EXIF orientation is honoured.
* Bilevel images become 0 and 255; 16-bit ones are scaled to 8 bits, round(v · 255 / 65535); palettes, CMYK and
  the like become RGB; floating-point pixels are refused. Of an animation, the first frame.
* Transparency is laid over white.
* ``channels`` 1 or 3 converts: RGB to grey by the ITU-R 601-2 luma, as Pillow does; 0 keeps grey grey and colour RGB.
* ``size`` stretches to size × size pixels by Lanczos resampling (antialiased; the aspect ratio is not kept).
* Pillow's guard against decompression bombs stands: what it warns of is refused.
"""

import functools
import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from aejax.data.dataset import one_line
from aejax.errors import UserError

MODES = {1: "L", 3: "RGB"}
ORIENTATION = 0x0112  # the EXIF tag


def check(data: ConfigDict) -> None:
    """Refuses sizes and channels that mean nothing.

    Raises:
      UserError: names the key.
    """
    if data.size < 0:
        raise UserError(f"data.size={data.size}: a height and width in pixels, or 0 to keep theirs")
    if data.channels not in (0, *MODES):
        raise UserError(f"data.channels={data.channels}: accepted: 1 (grey), 3 (RGB), 0 (theirs)")


def decode(file: Path | io.BytesIO, name: str, size: int, channels: int) -> np.ndarray:
    """One image file -> [h, w, c] uint8, by the rules above.

    Raises:
      UserError: names the image, which cannot be decoded.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            if image.width * image.height > Image.MAX_IMAGE_PIXELS:  # Pillow warns, below twice as many
                raise Image.DecompressionBombError
            return _pixels(image, size, channels)
    except Image.UnidentifiedImageError as error:
        raise UserError(f"{name}: not an image, or a corrupt one") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{name}: more than {Image.MAX_IMAGE_PIXELS:,} pixels, which Pillow refuses") from error
    except Exception as error:  # each of Pillow's formats fails in ways of its own
        raise UserError(f"{name}: unreadable image ({one_line(error)})") from error


def array(file: bytes, name: str, size: int, channels: int) -> np.ndarray:
    """An array as ``numpy.save`` writes it, [h, w] or [h, w, c] uint8 -> [h, w, c] uint8, by the rules above.

    Raises:
      UserError: names the array, which is another or damaged.
    """
    from PIL import Image

    try:
        start = 10 + int.from_bytes(file[8:10], "little")
        shape, columns, dtype = _header(file[:start])
        if dtype != np.uint8 or len(shape) not in (2, 3) or not math.prod(shape):
            raise UserError(f"{name}: an array {dtype} {shape}; accepted: uint8 [h, w] or [h, w, c]")
        found = np.frombuffer(file, np.uint8, math.prod(shape), start).reshape(shape, order="F" if columns else "C")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{name}: unreadable array ({one_line(error)})") from error
    found = found.reshape(*shape[:2], -1)
    if not (size or channels):
        return found
    if found.shape[2] not in MODES:
        raise UserError(f"{name}: an array of {found.shape[2]} channels; data.size and data.channels convert 1 or 3")
    return _pixels(Image.fromarray(found[..., 0] if found.shape[2] == 1 else found), size, channels)


@functools.lru_cache  # NumPy takes ten times as long for it as for the array
def _header(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, whether columns come first, type) of what ``numpy.save`` wrote, by the bytes before the array."""
    file = io.BytesIO(head)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("another version of the format than 1.0")
    return np.lib.format.read_array_header_1_0(file)


def room(shape: tuple[int, int, int, int]) -> np.ndarray:
    """Memory for images [n, h, w, c] uint8.

    Raises:
      UserError: there is not so much.
    """
    try:
        return np.empty(shape, np.uint8)
    except MemoryError as error:
        size = math.prod(shape) / 2**30
        raise UserError(
            f"{shape[0]:,} images of {shape[1]}×{shape[2]} pixels need {size:,.0f} GiB of memory; "
            "--config.data.size=N makes them N×N"
        ) from error


def _pixels(image, size: int, channels: int) -> np.ndarray:
    from PIL import Image, ImageOps

    if image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    image = _grey_or_rgb(image)
    if channels and image.mode != MODES[channels]:
        image = image.convert(MODES[channels])
    if size and image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    array = np.asarray(image)
    return array.reshape(*array.shape[:2], -1)


def _grey_or_rgb(image):
    """Any mode -> L or RGB."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits, or 32 that hold 16
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError("pixels of more than 16 bits")
        return Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels; npz: takes those")
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    mode = "L" if grey else "RGB"
    return image if image.mode == mode else image.convert(mode)


def difference(name: str, shape: tuple, other: str, others: tuple) -> str:
    """What to say of two images whose shapes [h, w, c] differ."""
    if shape[:2] != others[:2]:
        sizes = f"{name} has {shape[0]}×{shape[1]} pixels, {other} {others[0]}×{others[1]}"
        return f"{sizes}; --config.data.size=N resizes all to N×N"
    return f"{name} has {shape[2]} channels, {other} {others[2]}; --config.data.channels=1 or 3 converts all"


@contextmanager
def bombs_are_errors() -> Iterator[None]:
    """Within it, what Pillow warns of is not told twice."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
