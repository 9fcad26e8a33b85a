"""Frozen frames: an array in, a file named by its digest out, verified whenever it is read.

FOLDER/<hex>.npz holds one array `frames`; the digest is the SHA-256 of the array as a .npy file of version 1.0, so that
it says type and shape too.
"""

import hashlib
import io
import os
import uuid
import zipfile
import zlib
from pathlib import Path

import numpy as np

from contracts.errors import BadInputError
from contracts.releases import MAX_FRAME_BYTES
from policy.docket.files import Clip

PREFIX = "sha256:"


def digest_of_frames(frames: Clip) -> str:
    """`sha256:` and the hex digest of frames, uint8 [f, S, S, 3]; raises `BadInputError` for another array."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise BadInputError(f"frames are {frames.dtype} of shape {frames.shape}, must be uint8 [f, S, S, 3]")
    if frames.nbytes > MAX_FRAME_BYTES:
        raise BadInputError(f"frames of shape {frames.shape} are {frames.nbytes} bytes, at most {MAX_FRAME_BYTES}")
    array = io.BytesIO()
    np.lib.format.write_array(array, np.ascontiguousarray(frames), version=(1, 0), allow_pickle=False)
    return PREFIX + hashlib.sha256(array.getbuffer()).hexdigest()


class FramesLostError(BadInputError):
    """Frozen frames that are gone or not what they were; `told` names the file without saying where the docket lies."""

    def __init__(self, place: Path, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.told = f"{place.parent.name}/{place.name}: {reason}"


class FrameStore:
    """A folder of frozen frames; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder

    def keep(self, frames: Clip) -> str:
        """Keep frames and return their digest; those that are there already are left as they are."""
        digest = digest_of_frames(frames)
        place = self._place(digest)
        if place.exists():
            return digest
        draft = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
        try:
            with draft.open("xb") as stream:
                np.savez_compressed(stream, frames=frames)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(place)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return digest

    def read(self, digest: str) -> Clip:
        """The frames of a digest, uint8 [f, S, S, 3]; raises `FramesLostError` where they are gone or are not these."""
        place = self._place(digest)
        try:
            with np.load(place, allow_pickle=False) as file:
                frames: Clip = file["frames"]
        except FileNotFoundError:
            raise FramesLostError(place, f"is missing, the docket has no frames {digest}") from None
        except OSError as error:
            raise FramesLostError(place, f"cannot be read: {error.strerror or type(error).__name__}") from error
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise FramesLostError(place, f"cannot be read as frames: {error}") from error
        if (found := _digest_or_why(frames)) != digest:
            raise FramesLostError(place, f"digest is {found}, must be {digest}")
        return frames

    def has(self, digest: str) -> bool:
        return self._place(digest).exists()

    def forget(self, digest: str) -> None:
        """Remove frames that no case refers to any more."""
        self._place(digest).unlink(missing_ok=True)

    def _place(self, digest: str) -> Path:
        name = digest.removeprefix(PREFIX)
        if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise BadInputError(f"digest == {digest!r}, must be sha256: and 64 hex digits")
        return self._folder / f"{name}.npz"


def _digest_or_why(frames: Clip) -> str:
    """The digest, or why what lies there has none: then it is not what was frozen either."""
    try:
        return digest_of_frames(frames)
    except BadInputError as error:
        return f"none, {error}"
