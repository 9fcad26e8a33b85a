"""A release and the docket's rulings in force in, the casebook that should serve out: deterministic, nothing is moved.

    release's precedents, less those that fell, plus news = rulings in force that it was not taught

The same release and rulings give the same casebook, whoever drafts it and whatever was published before.
"""

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.cases import DecidedCase
from contracts.errors import BadInputError
from contracts.releases import InputShape, Pin
from policy.casebook import Evidence, Frames, leaves_of
from policy.evidence import read_taught_categories
from policy.publication.contradictions import Contradiction, Nearness, settle
from policy.publication.embedding import KeptEmbeddings, key_of
from policy.publication.precedents import AUTHOR_CAP, Decided, LeftOut, Precedent, Rulings, overruled, select
from serving.casebook import Casebook, read_casebook
from serving.releases import PRECEDENTS, ReleaseFolder, ReleasesRoot


@dataclass(frozen=True, slots=True)
class DraftRules:
    """Who speaks: precedents of one author at most, and from which cosine two inputs count as the same."""

    an_author_at_most: int = AUTHOR_CAP
    near: Nearness = field(default_factory=Nearness)


@dataclass(frozen=True, slots=True)
class Draft:
    """The casebook that the rulings make: its news with their inputs, what fell of the release's own, who is silent.

    `leaves` has the leaf of each precedent that has one; `relabelled` are the release's own that have another now.
    """

    casebook: Casebook
    news: tuple[Evidence, ...]
    fell: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    contradictions: tuple[Contradiction, ...]
    leaves: Mapping[str, str]
    relabelled: tuple[str, ...]

    @property
    def changes(self) -> bool:
        """Whether it says anything else than the release's own casebook."""
        return bool(self.news or self.fell or self.relabelled)

    @property
    def digest(self) -> str:
        """`sha256:` of who speaks beside the release's own: the same news and fallen cases, the same digest."""
        told = [f"-{case_id}" for case_id in self.fell]
        told += [f"+{mark_of(one.case)}" for one in self.news]
        told += [f"~{case_id} {self.leaves.get(case_id, '')}" for case_id in self.relabelled]
        return f"sha256:{hashlib.sha256(chr(10).join(sorted(told)).encode()).hexdigest()}"


def mark_of(case: DecidedCase) -> str:
    """What a precedent says, in one line: the same case ruled otherwise, or by another, has another mark."""
    leaf = f" {case.leaf}" if case.leaf else ""  # without one it is the mark of before there were leaves
    return (
        f"{case.case_id} {case.category.value} {case.weight:.6g} {case.decided_at.isoformat()} {case.upload.event_id}"
        f"{leaf}"
    )


def draft_casebook(
    root: ReleasesRoot, folder: ReleaseFolder, docket: Rulings, rules: DraftRules | None = None
) -> Draft:
    """Make the casebook of a release from the rulings in force; raises `BadInputError` where the release is damaged."""
    rules = rules or DraftRules()
    base_cases, base = read_own(folder)
    decided = docket.decided()
    chosen = select(decided, read_taught_categories(folder.taught), an_author_at_most=rules.an_author_at_most)
    left_out = list(chosen.left_out)
    precedents, frames = _with_frames(docket, chosen.precedents, folder.release.inputs, left_out)
    _, embedded = KeptEmbeddings(root, folder, "news").embed(
        [one.case.upload for one in precedents],
        [key_of(one.case.upload, one.frames_digest) for one in precedents],
        lambda rows: [frames[row] for row in rows],
    )
    embeddings = np.zeros((0, base.width), np.float32) if embedded is None else embedded.embedding
    there = np.linalg.norm(embeddings, axis=1) > 0.5
    left_out += [
        LeftOut(one.case.case_id, "the release's student sees nothing in it to compare")
        for one, seen in zip(precedents, there.tolist(), strict=True)
        if not seen
    ]
    seen = np.flatnonzero(there).tolist()
    precedents, frames, embeddings = [precedents[r] for r in seen], [frames[r] for r in seen], embeddings[seen]
    settled = settle(precedents, embeddings, base, rules.near)
    left_out += [LeftOut(c.silent, f"contradicts {c.heard}: {c.reason}") for c in settled.contradictions if c.silent]
    news = [Evidence(precedents[row].case, frames[row]) for row in settled.rows]
    gone = {one.case.case_id for one in news} | docket.erased()
    fallen = _fallen(decided, base_cases, gone)
    casebook = _casebook(base, fallen, news, embeddings[settled.rows])
    stay = [base_cases[row] for row in np.setdiff1d(np.arange(len(base_cases)), fallen).tolist()]
    own, now = leaves_of(stay), {one.ruling.case_id: one.leaf for one in decided}
    kept = {case.case_id: now.get(case.case_id, case.leaf) for case in stay}
    return Draft(
        casebook,
        tuple(news),
        tuple(base_cases[row].case_id for row in fallen),
        tuple(sorted(left_out)),
        tuple(settled.contradictions),
        {case_id: leaf for case_id, leaf in kept.items() if leaf} | leaves_of(one.case for one in news),
        tuple(sorted(case_id for case_id, leaf in kept.items() if leaf != own.get(case_id, ""))),
    )


def read_own(folder: ReleaseFolder) -> tuple[list[DecidedCase], Casebook]:
    """A release's own precedents, in the order of its casebook, and the casebook."""
    cases = _read_cases(folder.precedents)
    casebook = read_casebook(folder.casebook, {case.case_id: case.weight for case in cases})
    by_id = {case.case_id: case for case in cases}
    return [by_id[case_id] for case_id in casebook.case_ids], casebook


def read_serving(root: ReleasesRoot, pin: Pin) -> Casebook:
    """The casebook of a pin, verified: the release's own, or one published later."""
    folder, model = root.open_pin(pin)
    weights = {case.case_id: case.weight for case in _read_cases(folder.precedents)}
    if model != folder.casebook:
        weights |= {case.case_id: case.weight for case in _read_cases(model.parent / PRECEDENTS)}
    return read_casebook(model, weights)


def _read_cases(path: Path) -> list[DecidedCase]:
    """The cases of a file of precedents, without their frames."""
    try:
        return [DecidedCase.model_validate_json(case) for case in pl.read_parquet(path, columns=["case"])["case"]]
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise BadInputError(f"{path}: is not a casebook: {str(error).splitlines()[0]}") from error


def _with_frames(
    docket: Rulings, chosen: Sequence[Precedent], shape: InputShape, left_out: list[LeftOut]
) -> tuple[list[Precedent], list[Frames]]:
    """The precedents whose frames are there and are what the release reads; the others are told."""
    precedents, frames = list[Precedent](), list[Frames]()
    one_frame = (shape.frame_px, shape.frame_px, 3)
    for one in chosen:
        clip = None
        if one.frames_digest is not None:
            try:
                clip = docket.frames(one.frames_digest)
            except BadInputError as error:
                left_out.append(LeftOut(one.case.case_id, f"its frames cannot be read: {error}"))
                continue
            if clip.shape[1:] != one_frame or len(clip) > shape.n_frames:
                rule = f"the release reads up to {shape.n_frames} of {one_frame}"
                left_out.append(LeftOut(one.case.case_id, f"its frames are {clip.shape}, {rule}"))
                continue
        precedents.append(one)
        frames.append(clip)
    return precedents, frames


def _fallen(decided: Sequence[Decided], base: Sequence[DecidedCase], gone: Set[str]) -> list[int]:
    """Rows of the release's own precedents that fall: by another ruling, or erased, or because they speak anew."""
    named = {row for row, case in enumerate(base) if case.case_id in gone}
    return sorted(named | set(overruled(decided, base)))


def _casebook(
    base: Casebook, fallen: Sequence[int], news: Sequence[Evidence], embeddings_N_D: npt.NDArray[np.float32]
) -> Casebook:
    kept = without(base, fallen)
    return kept.with_news(
        replace(
            kept,
            embeddings=embeddings_N_D,
            case_ids=tuple(one.case.case_id for one in news),
            categories=np.array([one.case.category.position for one in news], np.int32),
            weights=np.array([one.case.weight for one in news], np.float32),
            n_taught=None,
            floors=None,
        )
    )


def without(casebook: Casebook, rows: Sequence[int]) -> Casebook:
    """The casebook without the precedents at `rows`; those that are left keep their voices."""
    return casebook.only(np.setdiff1d(np.arange(len(casebook)), np.asarray(rows, np.int64)))
