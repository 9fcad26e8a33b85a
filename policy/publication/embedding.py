"""Uploads and their frames in, what a release's student says of them out; what was embedded once is kept.

ROOT/embeddings/<digest of the student>.<name>.npz holds, by digest of the input, probabilities and embedding. It is a
cache: what cannot be read is embedded anew, and what is asked for no more is dropped.
"""

import hashlib
import logging
import os
import zipfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.videos import VideoUploaded
from policy.casebook import Frames
from serving.in_process import StudentEmbedder
from serving.preprocess.batch import preprocess
from serving.preprocess.media import MediaError
from serving.releases import STUDENT, ReleaseFolder, ReleasesRoot

log = logging.getLogger(__name__)

BATCH = 64
Floats = npt.NDArray[np.float32]
GetFrames = Callable[[Sequence[int]], Sequence[Frames | MediaError]]


class Embedded(NamedTuple):
    """What the student says of N inputs: calibrated probabilities [N, 16], embeddings [N, D] of length 1."""

    classifier: Floats
    embedding: Floats

    def take(self, rows: Sequence[int]) -> "Embedded":
        return Embedded(self.classifier[list(rows)], self.embedding[list(rows)])


def key_of(upload: VideoUploaded, frames_digest: str | None = None) -> str:
    """The digest of an input; a media address is taken to lead to the same frames, if `frames_digest` does not say."""
    return hashlib.sha256(f"{upload.model_dump_json()}\0{frames_digest or ''}".encode()).hexdigest()


class KeptEmbeddings:
    """Embeds inputs by one release's student, and keeps the answers under `name` in the releases root."""

    def __init__(self, root: ReleasesRoot, folder: ReleaseFolder, name: str) -> None:
        digest = folder.release.digests[STUDENT].removeprefix("sha256:")[:16]
        self._path = root.path / "embeddings" / f"{digest}.{name}.npz"
        self._folder = folder
        self._student = StudentEmbedder(folder.student)

    def embed(
        self, uploads: Sequence[VideoUploaded], keys: Sequence[str], frames_of: GetFrames
    ) -> tuple[list[int], Embedded | None]:
        """Embed N inputs: the rows that could be, and what the student says of them; None where there are none.

        `frames_of` is asked for the rows that are new; where it answers with a `MediaError` a row is left out. Raises
        `BadInputError` where the student does not read frames.
        """
        kept = self._read()
        fresh = [row for row, key in enumerate(keys) if key not in kept]
        for start in range(0, len(fresh), BATCH):
            some = fresh[start : start + BATCH]
            answered = [
                (r, clip) for r, clip in zip(some, frames_of(some), strict=True) if not isinstance(clip, MediaError)
            ]
            if answered:
                classifier, embedding = self._say([uploads[row] for row, _ in answered], [clip for _, clip in answered])
                kept |= {keys[row]: (classifier[i], embedding[i]) for i, (row, _) in enumerate(answered)}
        there = [row for row, key in enumerate(keys) if key in kept]
        if not there:
            return [], None
        if fresh or len(kept) > 2 * len(keys):
            self._write({keys[row]: kept[keys[row]] for row in there})
        parts = [np.stack([kept[keys[row]][column] for row in there]) for column in range(2)]
        return there, Embedded(parts[0], parts[1])

    def _say(self, uploads: Sequence[VideoUploaded], frames: Sequence[Frames]) -> tuple[Floats, Floats]:
        try:
            inputs = preprocess(uploads, frames, self._folder.release.inputs)
        except ValueError as error:
            raise BadInputError(f"{self._folder.path}: cannot read the frames of a video: {error}") from error
        return self._student.embed(inputs)

    def _read(self) -> dict[str, tuple[Floats, Floats]]:
        try:
            with np.load(self._path, allow_pickle=False) as held:
                rows = zip(held["keys"].tolist(), held["classifier"], held["embedding"], strict=True)
                return {key: (classifier, embedding) for key, classifier, embedding in rows}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("%s: is embedded anew, it cannot be read: %s", self._path, error)
            return {}

    def _write(self, kept: dict[str, tuple[Floats, Floats]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with draft.open("wb") as stream:
            np.savez(
                stream,
                keys=np.array(list(kept)),
                classifier=np.stack([classifier for classifier, _ in kept.values()]),
                embedding=np.stack([embedding for _, embedding in kept.values()]),
            )
        draft.replace(self._path)
