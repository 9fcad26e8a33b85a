"""An embedding in, the nearest decided cases and their vote out: exact cosine search in NumPy.

For a video with embedding x and the k nearest precedents (cosine s_j, weight u_j, category y_j):

    vote_j        = voice_j * clip((s_j - floor) / (1 - floor), 0, 1) ** sharpness
    probabilities = (classifier + sum_j vote_j onehot(y_j)) / (1 + sum_j vote_j)

The voice of a precedent is u_j times how much is listened to it: little where the student was trained on it and has
said so already, much where it was decided since. The floor of each is its own: the cosine that all but `HEARD_BY` of
what is known stay under, or was before it was decided. A precedent of a kind that nobody has seen is far from all of
that, and heard from afar; one like much else only by its likes. The classifier counts as one
vote, so precedents that are not near leave it exactly as it is. What did not vote is not cited. `casebook.onnx`
computes the same; this is its oracle, and what training searches with.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.taxonomy import N_CATEGORIES
from serving.scorer import N_CITED, Scores

MOST_NEAREST = 1_024
ROWS_AT_ONCE = 512
HEARD_BY = 0.005
"""A precedent is heard by what is more like it than this share of all that is known, the few that are its likes."""
FEWEST_KNOWN, KNOWN_AT_MOST = 200, 2_000
"""With fewer precedents known, their cosines say little of what is usual; more tell no more."""
THE_SAME = 1.0 - 1e-5
"""From this cosine on two cases are one, or a copy, and say nothing of what is usual."""

Floats = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Blend:
    """How precedents vote: the k nearest above the floor, sharper kernels listening to the nearest alone.

    k: in [5, 1024]. sharpness: > 0. floor: cosine in [0, 1). strength, news: >= 0, votes of one identical case of
    weight 1, which the student was trained on or not, where the classifier has 1 vote.
    """

    k: int = 16
    sharpness: float = 1.5
    floor: float = 0.5
    strength: float = 0.1
    news: float = 10.0

    def __post_init__(self) -> None:
        _require(N_CITED <= self.k <= MOST_NEAREST, f"k == {self.k}, must be in [{N_CITED}, {MOST_NEAREST}]")
        _require(0.0 < self.sharpness < 1e4, f"sharpness == {self.sharpness}, must be in (0, 10000)")
        _require(0.0 <= self.floor < 1.0, f"floor == {self.floor}, must be in [0, 1)")
        for name, votes in (("strength", self.strength), ("news", self.news)):
            _require(0.0 <= votes < 1e6, f"{name} == {votes}, must be in [0, 1000000)")


@dataclass(frozen=True, slots=True)
class Casebook:
    """P precedents: embeddings float32 [P, D] of length 1, unique ids, categories int32 [P], weights float32 [P].

    `n_taught`: the student was trained on the first so many (all, unless told); the others are news to it.
    `floors`: cosine [P] from which on each is heard, in [0, 1); the blend's for all, unless told.
    """

    embeddings: Floats
    case_ids: tuple[str, ...]
    categories: npt.NDArray[np.int32]
    weights: Floats
    blend: Blend = field(default_factory=Blend)
    n_taught: int | None = None
    floors: Floats | None = None

    def __post_init__(self) -> None:
        n = len(self.case_ids)
        _require(self.embeddings.ndim == 2, f"embeddings have {self.embeddings.ndim} dimensions, must have 2 [P, D]")
        _require(self.embeddings.dtype == np.float32, f"embeddings are {self.embeddings.dtype}, must be float32")
        for name, length in (
            ("embeddings", len(self.embeddings)),
            ("categories", len(self.categories)),
            ("weights", len(self.weights)),
            ("floors", n if self.floors is None else len(self.floors)),
        ):
            _require(length == n, f"{name} has {length} rows, must have one for each of the {n} case ids")
        _require(len(set(self.case_ids)) == n, "case ids repeat, each precedent must have its own")
        _require(all(self.case_ids), "a case id is empty, must name its case")
        lengths = np.sqrt(np.einsum("pd,pd->p", self.embeddings, self.embeddings))
        known = (self.categories >= 0) & (self.categories < N_CATEGORIES)
        self._require_each("embedding length", lengths, np.abs(lengths - 1.0) < 1e-3, "must be 1")
        self._require_each("category", self.categories, known, f"must be in [0, {N_CATEGORIES})")
        counts = (self.weights > 0) & np.isfinite(self.weights)
        self._require_each("weight", self.weights, counts, "must be above 0 and finite")
        if self.floors is not None:
            self._require_each("floor", self.floors, (self.floors >= 0.0) & (self.floors < 1.0), "must be in [0, 1)")

    def _require_each(self, name: str, values: npt.NDArray[Any], holds: npt.NDArray[np.bool_], rule: str) -> None:
        if (broken := np.flatnonzero(~holds)).size:
            first = broken[0]
            _require(False, f"{name} of case {self.case_ids[first]!r} == {values[first]}, {rule}")

    def __len__(self) -> int:
        return len(self.case_ids)

    @property
    def voices(self) -> Floats:
        """Votes of each precedent where the video is identical to it: [P]."""
        blend, taught = self.blend, len(self) if self.n_taught is None else self.n_taught
        return self.weights * np.where(np.arange(len(self)) < taught, blend.strength, blend.news).astype(np.float32)

    def with_news(self, precedents: "Casebook") -> "Casebook":
        """Return the casebook to publish between two releases: these precedents were decided since the training."""
        known = self.embeddings[: len(self) if self.n_taught is None else self.n_taught]
        before = np.full(len(self), self.blend.floor, np.float32) if self.floors is None else self.floors
        return replace(
            self,
            embeddings=np.concatenate([self.embeddings, precedents.embeddings]),
            case_ids=(*self.case_ids, *precedents.case_ids),
            categories=np.concatenate([self.categories, precedents.categories]),
            weights=np.concatenate([self.weights, precedents.weights]),
            n_taught=len(self) if self.n_taught is None else self.n_taught,
            floors=np.concatenate([before, self._floors(known, precedents.embeddings)]),
        )

    def with_floors(self) -> "Casebook":
        """Return the casebook of a release, each precedent with its floor; the blend's where there are few."""
        return (
            self if len(self) < FEWEST_KNOWN else replace(self, floors=self._floors(self.embeddings, self.embeddings))
        )

    def _floors(self, known: Floats, precedents: Floats) -> Floats:
        """Of each precedent, the cosine that all but `HEARD_BY` of the known ones stay under, it and its copies aside.

        By a sample of `KNOWN_AT_MOST` of them; the blend's floor where they are few.
        """
        if len(known) < FEWEST_KNOWN or not len(precedents):
            return np.full(len(precedents), self.blend.floor, np.float32)
        some = np.linspace(0, len(known), min(len(known), KNOWN_AT_MOST), endpoint=False, dtype=np.int64)
        cosine = known[some] @ precedents.T
        cosine[cosine > THE_SAME] = -1.0
        return np.clip(np.quantile(cosine, 1.0 - HEARD_BY, axis=0), 0.0, 0.95).astype(np.float32)

    def only(self, rows: Positions) -> "Casebook":
        """Return the casebook of the precedents at ascending `rows`; each keeps its voice and its floor."""
        taught = len(self) if self.n_taught is None else self.n_taught
        return replace(
            self,
            embeddings=self.embeddings[rows],
            case_ids=tuple(self.case_ids[row] for row in rows.tolist()),
            categories=self.categories[rows],
            weights=self.weights[rows],
            n_taught=int((rows < taught).sum()),
            floors=None if self.floors is None else self.floors[rows],
        )

    @property
    def width(self) -> int:
        """D, the embedding's length."""
        return int(self.embeddings.shape[1])


def search(casebook: Casebook, embedding: Floats, classifier: Floats, *, exclude: Positions | None = None) -> Scores:
    """What `casebook.onnx` answers, in NumPy; `exclude` int64 [B] or [B, E] masks precedents per row (-1: none).

    Training, calibration and thresholds pass each case's own position, so that no case meets itself.
    """
    blend, voices, n_rows = casebook.blend, casebook.voices, len(embedding)
    floors = np.full(len(casebook), blend.floor, np.float32) if casebook.floors is None else casebook.floors
    shown = np.full((n_rows, N_CITED), -1, np.int64)
    similarities = np.full((n_rows, N_CITED), -1.0, np.float32)
    votes = np.zeros((n_rows, N_CATEGORIES), np.float32)
    masked = None if exclude is None else np.asarray(exclude, np.int64).reshape(n_rows, -1)
    for start in range(0, n_rows if len(casebook) else 0, ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        cosine = embedding[rows] @ casebook.embeddings.T
        if masked is not None:
            row, column = np.nonzero(masked[rows] >= 0)
            cosine[row, masked[rows][row, column]] = -2.0
        near = _nearest((cosine - floors) / (np.float32(1.0) - floors), blend)
        s = np.take_along_axis(cosine, near, axis=1)
        above = np.clip((s - floors[near]) / (np.float32(1.0) - floors[near]), 0.0, 1.0)
        vote = voices[near] * above ** np.float32(blend.sharpness)
        which = casebook.categories[near]
        for category in range(N_CATEGORIES):
            votes[rows, category] = np.where(which == category, vote, 0.0).sum(axis=1)
        n = min(N_CITED, near.shape[1])
        cited = above[:, :n] > 0
        shown[rows, :n] = np.where(cited, near[:, :n], -1)
        similarities[rows, :n] = np.where(cited, s[:, :n], -1.0)
    names = np.array([*casebook.case_ids, ""], dtype=object)
    categories = np.append(casebook.categories, -1).astype(np.int32)
    return Scores(
        probabilities=(classifier + votes) / (1.0 + votes.sum(axis=1, keepdims=True)),
        classifier=classifier,
        cited_ids=names[shown],
        cited_categories=categories[shown],
        cited_similarities=similarities,
    )


def _nearest(cosine: Floats, blend: Blend) -> Positions:
    """Positions of the k largest of each row (cosines over their floors), the lower position first among equals."""
    k = min(blend.k, cosine.shape[1])
    if k == cosine.shape[1]:
        return np.argsort(-cosine, axis=1, kind="stable")
    top = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
    top.sort(axis=1)
    values = np.take_along_axis(cosine, top, axis=1)
    least = values.min(axis=1)
    cut_among_equals = (cosine == least[:, None]).sum(axis=1) > (values == least[:, None]).sum(axis=1)
    for row in np.flatnonzero(cut_among_equals & (least > 0.0)):
        top[row] = np.sort(np.argsort(-cosine[row], kind="stable")[:k])
        values[row] = cosine[row, top[row]]
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise BadInputError(f"{message} (casebook)")
