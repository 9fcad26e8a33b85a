"""A picture's bytes from anybody: decoded small and upright, or refused with a reason."""

import io
import struct
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from policy.growth.pictures.decoding import (
    Picture,
    PictureError,
    PictureLimits,
    decoding,
    frame_of_picture,
    small_picture,
)
from tests.policy.growth.pictures.files import encoded, painted

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def small(content: bytes, *, px: int = 336, limits: PictureLimits | None = None) -> Picture:
    return small_picture(content, px=px, quality=90, limits=limits or PictureLimits())


def refusal(content: bytes, limits: PictureLimits | None = None) -> tuple[str, str]:
    with pytest.raises(PictureError) as caught:
        small(content, limits=limits)
    return caught.value.reason.value, caught.value.detail


def corners(picture: Picture) -> list[tuple[int, ...]]:
    """The colours at the top left, top right, bottom left and bottom right, each channel as 0 or 255."""
    frame = frame_of_picture(picture.jpeg)
    return [tuple(int(c > 127) * 255 for c in frame[y, x]) for y in (2, -3) for x in (2, -3)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_of_each_format_is_kept_at_most_so_long(kind: str) -> None:
    picture = small(encoded(painted(1, 400, 300), kind), px=100)
    assert (picture.width, picture.height) == (100, 75)
    assert frame_of_picture(picture.jpeg).shape == (75, 100, 3)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5_000), (5_000, 1), (7, 3), (336, 336), (337, 1)])
def test_odd_sizes_keep_their_shape_and_a_pixel_at_least(width: int, height: int) -> None:
    picture = small(encoded(painted(1, width, height), "PNG"), px=336)
    assert max(picture.width, picture.height) == min(336, max(width, height))
    assert min(picture.width, picture.height) >= 1


def test_a_small_picture_is_never_made_larger() -> None:
    assert small(encoded(painted(1, 40, 30), "PNG"), px=336)[1:] == (40, 30)


@pytest.mark.parametrize(
    ("orientation", "seen"),
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
        (9, [RED, GREEN, BLUE, WHITE]),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_stands_upright_as_its_exif_says(orientation: int, seen: list[tuple[int, ...]], kind: str) -> None:
    squares = Image.fromarray(np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8)).resize((64, 32), 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = small(encoded(squares, kind, exif=exif))
    assert (picture.width, picture.height) == ((32, 64) if 5 <= orientation <= 8 else (64, 32))
    assert corners(picture) == seen


def test_exif_that_cannot_be_read_says_nothing_and_the_picture_is_kept() -> None:
    content = encoded(painted(1), exif=b"Exif\0\0MM\0*\0\0\0\xff garbage")
    with decoding():
        assert small(content) == small(encoded(painted(1)))


def test_what_is_clear_is_on_white_and_what_is_grey_keeps_its_shade() -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert corners(small(encoded(clear, "PNG"))) == [WHITE] * 4
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert corners(small(encoded(palette, "PNG", transparency=0))) == [WHITE] * 4
    deep = Image.fromarray(np.full((20, 20), 0x8000, np.uint16))  # half of 16 bits
    assert abs(int(frame_of_picture(small(encoded(deep, "PNG")).jpeg).mean()) - 128) <= 1
    cmyk = Image.new("CMYK", (20, 20), (0, 255, 255, 0))
    assert corners(small(encoded(cmyk, "JPEG"))) == [RED] * 4


def test_equal_bytes_give_equal_bytes_and_a_comment_does_not_travel() -> None:
    content = encoded(painted(1), comment=b"where I live")
    assert small(content) == small(content) == small(encoded(painted(1)))
    assert b"where I live" not in small(content).jpeg


def png_of(width: int, height: int, *, rows: int) -> bytes:
    """A PNG that says it is `width` x `height`, with so many black rows in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    body = zlib.compress((b"\0" * (width + 1)) * rows)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [7_500, 10_000, 15_000, 65_000])
def test_a_bomb_is_refused_by_its_size_before_a_pixel_is_decoded(side: int) -> None:
    with decoding():
        reason, detail = refusal(png_of(side, side, rows=1))
    assert reason == "too_many_pixels"
    assert "pixels" in detail


def test_a_bomb_that_pillow_only_warns_of_is_refused_without_its_warning() -> None:
    bomb = png_of(10_000, 10_000, rows=1)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with decoding():
            assert refusal(bomb) == (
                "too_many_pixels",
                "pixels of 10000 x 10000 == 100000000, must be at most 50000000",
            )
    assert heard == []


def test_a_jpeg_of_too_many_passes_is_refused_and_one_of_ten_is_kept() -> None:
    content = encoded(painted(1), progressive=True)
    assert small(content).width == 40
    scans = content.count(b"\xff\xda")
    assert scans > 3
    assert refusal(content, PictureLimits(scans=3)) == ("too_many_scans", f"scans == {scans}, must be at most 3")


def test_too_many_bytes_and_none_are_refused() -> None:
    assert refusal(b"") == ("empty", "size == 0 bytes, must hold a picture")
    assert refusal(b"x" * 11, PictureLimits(bytes=10)) == ("too_many_bytes", "size in bytes == 11, must be at most 10")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_ends_too_early_is_no_picture(kind: str, share: float) -> None:
    noisy = Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    content = encoded(noisy, kind)
    reason, _ = refusal(content[: int(share * len(content))])
    assert reason in {"truncated", "unreadable"}


@pytest.mark.parametrize(
    "content",
    [b"hello", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBPVP8 ", encoded(painted(1), "GIF")],
)
def test_what_is_no_picture_of_the_three_formats_is_refused(content: bytes) -> None:
    assert refusal(content)[0] in {"truncated", "unreadable"}


WHOLE = {kind: encoded(painted(1, 24, 18), kind) for kind in ("JPEG", "PNG", "WEBP")}


@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_the_damage_a_picture_is_kept_or_refused(kind: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with decoding():
        kept = None
        with suppress(PictureError):
            kept = small(bytes(content))
    assert kept is None or Image.open(io.BytesIO(kept.jpeg)).size == (kept.width, kept.height)
