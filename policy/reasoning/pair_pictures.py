"""A pair's `image` or `video` below a root in, the data URLs that a judge is shown out."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contracts.errors import BadInputError, printable
from contracts.preferences import PreferencePair, PreferenceRow
from policy.reasoning.question import MOST_FRAMES

MOST_BYTES = 20 << 20
"""Of a picture file."""
_MEDIA_TYPES = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
"""By the first bytes of the file, whatever its name says."""


def require_pictures(rows: Sequence[PreferenceRow], root: Path) -> None:
    """Raise `BadInputError` naming the first row whose picture is not there, or is none that can be shown."""
    for row in rows:
        try:
            for file in files_of(row.pair, root):
                _require_small(file, file.stat().st_size)
                with file.open("rb") as picture:
                    media_type(picture.read(16), file)
        except (BadInputError, OSError) as error:
            said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            raise BadInputError(f"row {row.number}, id {printable(row.pair.id, at_most=80)}: {said}") from error


def pictures_of(pair: PreferencePair, root: Path | None) -> list[str]:
    """The data URLs of a pair's picture, or of up to `MOST_FRAMES` frames of its video; none without a root."""
    return [] if root is None else [_url(file) for file in files_of(pair, root)]


def files_of(pair: PreferencePair, root: Path) -> list[Path]:
    """The files of a pair's picture below `root`; a video's is a folder of frames, of which some are taken evenly."""
    if pair.image is not None:
        file = _below(root, pair.image)
        if not file.is_file():
            raise BadInputError(f"{file}: is not a file, must be the picture")
        return [file]
    if pair.video is None:
        return []
    folder = _below(root, pair.video)
    if not folder.is_dir():
        raise BadInputError(f"{folder}: is not a folder, must hold the video's frames as pictures")
    frames = sorted((file for file in folder.iterdir() if file.is_file()), key=_in_counting_order)
    if not frames:
        raise BadInputError(f"{folder}: is empty, must hold the video's frames as pictures")
    chosen = np.linspace(0, len(frames) - 1, min(MOST_FRAMES, len(frames))).round().astype(int)
    return [frames[position] for position in chosen.tolist()]


def media_type(beginning: bytes, file: Path) -> str:
    """The media type of a picture that begins so; raises `BadInputError` for what is no picture that judges read."""
    for name, magic in _MEDIA_TYPES.items():
        if magic.match(beginning):
            return name
    raise BadInputError(f"{file}: must be one of {', '.join(_MEDIA_TYPES)}")


def _below(root: Path, path: str) -> Path:
    file = (root / path).resolve()
    if not file.is_relative_to(root.resolve()):
        raise BadInputError(f"{path}: lies outside {root}, must lie below it")
    return file


def _in_counting_order(file: Path) -> list[tuple[int, str]]:
    """`2.jpg` before `10.jpg`."""
    parts = re.findall(r"(\d+)|(\D+)", file.name)
    return [(int(number) if number else -1, text) for number, text in parts]


def _url(file: Path) -> str:
    picture = file.read_bytes()
    _require_small(file, len(picture))
    return f"data:{media_type(picture, file)};base64,{base64.b64encode(picture).decode()}"


def _require_small(file: Path, n_bytes: int) -> None:
    if n_bytes > MOST_BYTES:
        raise BadInputError(f"{file}: is {n_bytes} bytes, must be at most {MOST_BYTES}")
