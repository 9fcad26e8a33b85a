"""Precedents on nearly the same inputs that were ruled differently in; who of them speaks out, and all of them listed.

Near is a cosine of the release's own embeddings, or the same words over the same frames. A person's ruling is heard
before an adjudicator's and the newer before the older; what contradicts one that is heard stays silent until a person
overrules one of them.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from contracts.taxonomy import CATEGORIES, Category
from contracts.videos import VideoUploaded
from policy.publication.precedents import ADJUDICATOR_WEIGHT, Precedent
from serving.casebook import Casebook

Floats = npt.NDArray[np.float32]


class Contradiction(NamedTuple):
    """Two precedents of nearly the same video: `heard` speaks, `silent` does not; None where both do."""

    heard: str
    silent: str | None
    beside: str
    reason: str


class Settled(NamedTuple):
    """Rows of the precedents that speak, in order, and every contradiction that was found."""

    rows: list[int]
    contradictions: list[Contradiction]


@dataclass(frozen=True, slots=True)
class Nearness:
    """When two inputs count as the same: from the cosine `same` on.

    An adjudicator is silent farther around what a person found good since the training: from `around_a_good_one` of the
    way between the casebook's floor and 1. Who copies a good video and writes orders into the copy gets a precedent
    that is near it, and not the same; how near depends on the student, the floor is measured on it.
    """

    same: float = 0.98
    around_a_good_one: float = 0.5

    def of(self, one: Precedent, other: Precedent, floor: float) -> float:
        """The cosine from which `one` contradicts `other`, which is heard before it."""
        if one.by_person or other.case.category is not Category.POSITIVE:
            return self.same
        return min(self.same, floor + self.around_a_good_one * (1.0 - floor))


def settle(
    precedents: Sequence[Precedent], embeddings_P_D: Floats, taught: Casebook, near: Nearness | None = None
) -> Settled:
    """Who of the precedents speaks beside each other and beside those that the release was taught.

    A taught precedent that a person's news contradicts is listed and stays: it speaks a hundredth as loud.
    """
    near = near or Nearness()
    heard, found = list[int](), list[Contradiction]()
    words = [_words_of(one.case.upload) for one in precedents]
    cosine_taught = embeddings_P_D @ taught.embeddings.T if len(taught) else np.zeros((len(precedents), 0), np.float32)
    for row in sorted(range(len(precedents)), key=lambda row: precedents[row].rank, reverse=True):
        one = precedents[row]
        found += (against := _against_taught(one, cosine_taught[row], taught, near.same))
        if any(contradiction.silent for contradiction in against):
            continue
        cosines = (embeddings_P_D[heard] @ embeddings_P_D[row]).tolist() if heard else []
        for other, cosine in zip(heard, cosines, strict=True):
            if precedents[other].case.category is one.case.category:
                continue
            same = bool(words[row]) and words[row] == words[other]
            same = same and one.frames_digest == precedents[other].frames_digest
            if same or cosine >= near.of(one, precedents[other], taught.blend.floor):
                told = _told(precedents[other], one, cosine, same=same)
                found.append(Contradiction(_id(precedents[other]), _id(one), _id(one), told))
                break
        else:
            heard.append(row)
    return Settled(sorted(heard), sorted(found, key=lambda one: (one.beside, one.heard)))


def _against_taught(one: Precedent, cosine_T: Floats, taught: Casebook, same: float) -> list[Contradiction]:
    found = []
    for position in np.flatnonzero(cosine_T >= same).tolist():
        case_id, category = taught.case_ids[position], CATEGORIES[taught.categories[position]]
        if category is one.case.category:
            continue
        told = f"cosine {float(cosine_T[position]):.3f}: {one.case.category.value} against {category.value} (taught)"
        if one.by_person or taught.weights[position] <= ADJUDICATOR_WEIGHT:
            found.append(Contradiction(_id(one), None, case_id, told))
        else:
            found.append(Contradiction(case_id, _id(one), _id(one), told))
    return found


def _told(heard: Precedent, silent: Precedent, cosine: float, *, same: bool) -> str:
    alike = "the same words and frames" if same else f"cosine {cosine:.3f}"
    return f"{alike}: {heard.case.category.value} ({_who(heard)}) against {silent.case.category.value} ({_who(silent)})"


def _who(one: Precedent) -> str:
    return f"{'a person' if one.by_person else 'an adjudicator'}, {one.case.decided_at:%Y-%m-%d %H:%M}"


def _id(one: Precedent) -> str:
    return one.case.case_id


def _words_of(upload: VideoUploaded) -> tuple[str, ...]:
    """Title, OCR and ASR as they compare: NFKC, no case, single spaces; empty where nothing is said."""
    fields = (upload.title or "", upload.ocr or "", upload.asr or "")
    words = tuple(" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in fields)
    return words if any(words) else ()
