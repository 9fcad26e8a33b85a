"""The docket's rulings in force in, the same embedded by a release's student out: what leaves are found with."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contracts.errors import BadInputError
from contracts.releases import InputShape
from contracts.taxonomy import Category
from contracts.videos import VideoUploaded
from policy.casebook import Frames
from policy.growth.leaves.explaining import Embedded, Fit, Floats, alike, suggest_leaf
from policy.publication.draft import read_own
from policy.publication.embedding import KeptEmbeddings, key_of
from policy.publication.precedents import Precedent, Rulings, select
from serving.preprocess.media import MediaError, MediaReason
from serving.releases import ReleaseFolder, ReleasesRoot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """N violative rulings in force, the oldest first, as the student of `folder` sees them.

    alike: the cosine that cases of different categories reach by chance. unseen: rulings that it cannot see.
    """

    folder: ReleaseFolder
    rulings: Embedded
    precedents: tuple[Precedent, ...]
    alike: float
    unseen: int


@dataclass(frozen=True, slots=True)
class Video:
    """What a case is about: its upload, and its frozen frames by their digest."""

    upload: VideoUploaded
    frames_digest: str | None


def violative(docket: Rulings) -> list[Precedent]:
    """The rulings in force that find something violative, the oldest first; an adjudicator's without confidence aside.

    Whether a release was taught them makes no difference to what they are.
    """
    decided = docket.decided()
    chosen = select(decided, {}, an_author_at_most=len(decided) + 1).precedents
    return [one for one in chosen if one.case.category is not Category.POSITIVE]


def see(
    root: ReleasesRoot, folder: ReleaseFolder, docket: Rulings, precedents: Sequence[Precedent], *, name: str = "leaves"
) -> Seen:
    """Embed rulings by a release's student; what was embedded before is read from the cache `name`."""
    videos = [Video(one.case.upload, one.frames_digest) for one in precedents]
    there, embeddings = _embed(root, folder, docket, videos, name)
    chosen = [precedents[row] for row in there]
    rulings = Embedded(
        tuple(one.case.case_id for one in chosen),
        tuple(one.case.category for one in chosen),
        tuple(one.case.leaf for one in chosen),
        embeddings,
    )
    _, own = read_own(folder)
    return Seen(folder, rulings, tuple(chosen), alike(rulings, own), unseen=len(precedents) - len(chosen))


def suggested(root: ReleasesRoot, docket: Rulings, video: Video, category: Category) -> Fit | None:
    """The accepted leaf that explains a video of a category best, by the live release's student; None where none does.

    Raises `BadInputError` where nothing is live.
    """
    folder = root.open(root.read_pointer().live.release_version)
    members = [one for one in violative(docket) if one.case.leaf]
    if not any(one.case.category is category for one in members):
        return None
    seen = see(root, folder, docket, members, name="suggest")
    there, embedding = _embed(root, folder, docket, [video], "suggested")
    return suggest_leaf(embedding[0], category, seen.rulings, seen.alike) if there else None


def _embed(
    root: ReleasesRoot, folder: ReleaseFolder, docket: Rulings, videos: Sequence[Video], name: str
) -> tuple[list[int], Floats]:
    """The rows that the student can compare, and their embeddings [n, D]."""
    shape = folder.release.inputs
    there, embedded = KeptEmbeddings(root, folder, name).embed(
        [one.upload for one in videos],
        [key_of(one.upload, one.frames_digest) for one in videos],
        lambda rows: [_frames(docket, videos[row].frames_digest, shape) for row in rows],
    )
    if embedded is None:
        return [], np.zeros((0, 1), np.float32)
    seen = np.flatnonzero(np.linalg.norm(embedded.embedding, axis=1) > 0.5)
    return [there[row] for row in seen.tolist()], embedded.embedding[seen]


def _frames(docket: Rulings, digest: str | None, shape: InputShape) -> Frames | MediaError:
    """A case's frozen frames, or why a release cannot read them."""
    if digest is None:
        return None
    try:
        clip = docket.frames(digest)
    except BadInputError as error:
        log.warning("%s: %s", digest, error)
        return MediaError(MediaReason.UNREADABLE, digest, str(error))
    if clip.shape[1:] != (shape.frame_px, shape.frame_px, 3) or len(clip) > shape.n_frames:
        return MediaError(MediaReason.UNREADABLE, digest, f"frames are {clip.shape}, the release reads others")
    return clip
