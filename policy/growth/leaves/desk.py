"""Proposed leaves in, a person's decisions on them out, kept as files beside the taxonomy that they change.

TAXONOMY/proposals/<id>.json   what waits for a person (`Proposal`)
TAXONOMY/decisions.jsonl       what was decided of each, by whom and why (`Decision`), never rewritten
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from contracts.errors import BadInputError, first_reason, printable
from contracts.growth import Name, TypeNode
from contracts.records import Count, Id, LeafId, Record, Time, Version, is_id
from contracts.taxonomy import Category
from policy.kept import cut_half_line, read_whole, turn_in, write_whole
from policy.moves import add_line

PROPOSALS, DECISIONS = "proposals", "decisions.jsonl"
SAME_AGAIN = 0.5
"""Two clusters that share so much of the smaller one are one cluster, which was decided until it grew by half."""


class Proposal(Record):
    """A cluster of rulings that no leaf explains, proposed as a leaf below their category.

    members: case ids, sorted. examples: those most like all others, first. cohesion: the mean cosine of two members.
    nearest: the accepted leaf that they are most like, or empty, and how like. named_by: the model, empty for the words
    that tell them from others. begun: the type as which somebody began to accept it.
    """

    proposal_id: Id
    category: Category
    members: Annotated[tuple[Id, ...], Field(min_length=2)]
    examples: tuple[Id, ...]
    authors: Count
    cohesion: float
    nearest: LeafId = ""
    similarity: float = 0.0
    name: Name
    named_by: Annotated[str, Field(max_length=200)] = ""
    proposed_at: Time
    release_version: Version
    begun: TypeNode | None = None


class Decision(Record):
    """What a person decided of a proposal; `node` is the type that it became where it was accepted."""

    proposal_id: Id
    outcome: Literal["accepted", "rejected"]
    category: Category
    members: tuple[Id, ...]
    decided_by: Id
    decided_at: Time
    reason: Annotated[str, Field(max_length=2_000)] = ""
    node: TypeNode | None = None


class Desk:
    """The proposals and decisions of a taxonomy's folder; read anew at each question."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn at this folder: who decides or proposes is alone in it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with turn_in(self.root, "leaves"):
            yield

    def waiting(self) -> list[Proposal]:
        """What waits for a person, the largest cluster first; raises `BadInputError` by file."""
        decided = {one.proposal_id for one in self.decisions()}
        paths = sorted((self.root / PROPOSALS).glob("[!.]*.json"))
        found = [read_whole(path, Proposal) for path in paths if path.stem not in decided]
        return sorted(found, key=lambda one: (-len(one.members), one.proposal_id))

    def find(self, proposal_id: str) -> Proposal:
        """The proposal that waits under an id; raises `BadInputError` where none does, saying what became of it."""
        shown = printable(proposal_id, at_most=80)
        for one in self.decisions():
            if one.proposal_id == proposal_id:
                as_what = "" if one.node is None else f" as {one.node.label}"
                told = f"{one.outcome}{as_what} by {one.decided_by} on {one.decided_at:%Y-%m-%d %H:%M}"
                raise BadInputError(f"proposal == {shown!r} was {told}, must be one that waits ({self.root})")
        if not is_id(proposal_id) or not self._path(proposal_id).is_file():
            ids = ", ".join(one.proposal_id for one in self.waiting()) or "none"
            raise BadInputError(f"proposal == {shown!r}, must be one that waits: {ids} ({self.root / PROPOSALS})")
        return read_whole(self._path(proposal_id), Proposal)

    def put(self, proposal: Proposal) -> None:
        """Keep a proposal, in the place of what has its id."""
        (self.root / PROPOSALS).mkdir(parents=True, exist_ok=True)
        write_whole(self._path(proposal.proposal_id), proposal)

    def drop(self, proposal_id: str) -> None:
        self._path(proposal_id).unlink(missing_ok=True)

    def decisions(self) -> list[Decision]:
        """Every decision, oldest first; a half line at the end is none: it is being written, or its writer was killed.

        Raises `BadInputError` naming file and line.
        """
        path, found = self.root / DECISIONS, list[Decision]()
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                found.append(Decision.model_validate_json(line))
            except ValidationError as error:
                raise BadInputError(f"{path}:{number}: {first_reason(error)}") from error
        return found

    def decide(self, decision: Decision) -> None:
        """Add a decision, on the disk when this returns, and let its proposal wait no more; the caller has the turn."""
        cut_half_line(self.root / DECISIONS)
        add_line(self.root / DECISIONS, decision)
        self.drop(decision.proposal_id)

    def _path(self, proposal_id: str) -> Path:
        return self.root / PROPOSALS / f"{proposal_id}.json"


def proposal_id(category: Category, members: Collection[str]) -> str:
    """The id of a cluster: the same members are the same proposal."""
    told = "\n".join([category.value, *sorted(members)])
    return f"p-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def is_again(members: Collection[str], before: Collection[str]) -> bool:
    """Whether a cluster is one of before that has not grown by half since: `SAME_AGAIN` of the smaller is in both."""
    now, then = set(members), set(before)
    shared = len(now & then)
    return shared >= SAME_AGAIN * min(len(now), len(then)) and 2 * (len(now) - shared) < len(then)


def was_decided(category: Category, members: Sequence[str], decisions: Sequence[Decision]) -> bool:
    """Whether a cluster was rejected before, and has not grown by half since."""
    return any(
        one.outcome == "rejected" and one.category is category and is_again(members, one.members) for one in decisions
    )
