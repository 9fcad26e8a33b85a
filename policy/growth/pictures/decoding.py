"""A picture's bytes in, a small upright JPEG out; what could harm or cannot be read is refused with its reason.

Who made the bytes is not known. So the format is told by content and must be one of three, the picture's size is
looked at before a pixel is decoded, and a file that ends too early is no picture.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError, printable

Frame = npt.NDArray[np.uint8]
"""RGB, [H, W, 3]."""

FORMATS = ("JPEG", "PNG", "WEBP")
_ORIENTATION = 0x0112
_NEXT_SCAN = b"\xff\xda"
# What Pillow's readers raise on bytes that lie; none of it says that this program is wrong.
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, RuntimeError)
_BROKEN_INSIDE = (AttributeError, struct.error, zlib.error)


class PictureReason(StrEnum):
    """Why a picture is dropped; that of a video may be any `MediaReason` as well."""

    DUPLICATE = "duplicate"
    EMPTY = "empty"
    MISSING = "missing"
    NOT_A_FILE = "not_a_file"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_SCANS = "too_many_scans"
    TRUNCATED = "truncated"
    UNREADABLE = "unreadable"


class PictureError(BadInputError):
    """A picture that is refused: dropped with `reason` and `detail`, the others go on."""

    def __init__(self, reason: PictureReason, detail: str) -> None:
        super().__init__(f"picture: {detail} ({reason.value})")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What one picture may cost: bytes as it lies, pixels once decoded, passes over them (of a progressive JPEG)."""

    bytes: int = 32 << 20
    pixels: int = 50_000_000
    scans: int = 100


class Picture(NamedTuple):
    """A picture as it is kept: the bytes of a JPEG, and its size."""

    jpeg: bytes
    width: int
    height: int


def small_picture(content: bytes, *, px: int, quality: int, limits: PictureLimits) -> Picture:
    """Decode a JPEG, PNG or WebP; upright by its EXIF, on white where it is clear, at most `px` on its longer side.

    Of an animation the first frame. Equal bytes give equal bytes. Raises `PictureError`.
    """
    from PIL import Image

    check_bytes(len(content), limits)
    with _refusing():
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        width, height = image.size
        _check_cost(content, image.format or "", width, height, limits)
        share = min(1.0, px / max(width, height))
        target = (max(1, round(width * share)), max(1, round(height * share)))
        image.draft("RGB", (2 * target[0], 2 * target[1]))  # a JPEG is decoded at a fraction of its size, where it can
        image.load()
        turn = _turn_of(image)
        small = _rgb(image)
        if small.size != target:
            small = small.resize(target, Image.Resampling.BICUBIC)
        if turn is not None:
            small = small.transpose(turn)
    return _encoded(small, quality)


def picture_of_frame(frame: Frame, *, quality: int) -> Picture:
    """A decoded frame as it is kept."""
    from PIL import Image

    return _encoded(Image.fromarray(frame), quality)


def frame_of_picture(jpeg: bytes) -> Frame:
    """The pixels of a kept picture; raises `BadInputError` where they are damaged."""
    from PIL import Image

    with _refusing():
        return np.asarray(Image.open(io.BytesIO(jpeg), formats=("JPEG",)).convert("RGB"))


def check_bytes(size: int, limits: PictureLimits) -> None:
    """Raise `PictureError` where so many bytes are none or too many."""
    if size == 0:
        raise PictureError(PictureReason.EMPTY, "size == 0 bytes, must hold a picture")
    if size > limits.bytes:
        raise PictureError(PictureReason.TOO_MANY_BYTES, f"size in bytes == {size}, must be at most {limits.bytes}")


@contextmanager
def decoding() -> Iterator[None]:
    """Keep Pillow's warnings of what is refused or does no harm from whoever watches; to be held by one thread."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\..*")
        yield


def _check_cost(content: bytes, kind: str, width: int, height: int, limits: PictureLimits) -> None:
    if width * height > limits.pixels:
        raise PictureError(
            PictureReason.TOO_MANY_PIXELS,
            f"pixels of {width} x {height} == {width * height}, must be at most {limits.pixels}",
        )
    # each pass goes over every pixel: a small file of thousands of passes would hold a core for minutes
    if kind in {"JPEG", "MPO"} and (scans := content.count(_NEXT_SCAN)) > limits.scans:
        raise PictureError(PictureReason.TOO_MANY_SCANS, f"scans == {scans}, must be at most {limits.scans}")


def _turn_of(image: Any) -> Any:
    """How to turn the picture so that it stands upright, or None; EXIF that cannot be read says nothing."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        told = image.getexif().get(_ORIENTATION)
    except (*_BROKEN, *_BROKEN_INSIDE):
        return None
    return turns.get(told) if isinstance(told, int) else None


def _rgb(image: Any) -> Any:
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):  # 16 bits of grey, which Pillow would clip and not scale
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB")


def _encoded(image: Any, quality: int) -> Picture:
    image.info = {}  # a comment would travel along
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality)
    return Picture(file.getvalue(), *image.size)


@contextmanager
def _refusing() -> Iterator[None]:
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(PictureReason.TOO_MANY_PIXELS, _told(error)) from error
    except UnidentifiedImageError as error:
        raise PictureError(PictureReason.UNREADABLE, "is no picture, must be JPEG, PNG or WebP") from error
    except (*_BROKEN, *_BROKEN_INSIDE) as error:
        cut = "truncated" in str(error).lower() or isinstance(error, EOFError)
        raise PictureError(PictureReason.TRUNCATED if cut else PictureReason.UNREADABLE, _told(error)) from error


def _told(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}", at_most=200)
