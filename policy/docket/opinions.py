"""What adjudicators thought of cases, noted beside the docket: nobody is asked twice, and no vote is forgotten.

DOCKET/opinions.jsonl   a line an opinion, in the order of asking
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from contracts.cases import Ruling
from contracts.lines import read_lines
from contracts.records import Count, Id, Probability, Record, Time
from contracts.taxonomy import CATEGORIES, Category
from policy.kept import cut_half_line, turn_in
from policy.moves import add_line

OPINIONS = "opinions.jsonl"
Outcome = Literal["to be ruled", "ruled", "positive waits for a person", "abstains", "refused", "frames unreadable"]
"""`to be ruled` is noted before the docket is told, so that a ruling never stands without its votes."""


class NotedOpinion(Record):
    """What an adjudicator thought of a case, and what came of it; `votes` is empty in older notes."""

    case_id: Id
    adjudicator: Id
    asked_at: Time
    category: Category | None
    confidence: Probability
    asked: Count
    unusable: Count
    votes: Mapping[Category, Count] = Field(default_factory=dict)
    unparsed: Mapping[str, int] = Field(default_factory=dict)
    outcome: Outcome
    reasoning: str = ""


def note_opinion(folder: Path, noted: NotedOpinion) -> None:
    """Add an opinion; it is on the disk when this returns. What a killed process left half is cut off before."""
    path = folder / OPINIONS
    with turn_in(folder, OPINIONS):
        cut_half_line(path)
        add_line(path, noted)


def read_opinions(folder: Path) -> list[NotedOpinion]:
    """What adjudicators thought, oldest first, each as it came out last; raises `BadInputError` by line."""
    path = folder / OPINIONS
    if not path.exists():
        return []
    with turn_in(folder, OPINIONS):
        cut_half_line(path)
        return list({_place(one): one for one in read_lines(path, NotedOpinion)}.values())


class Votes:
    """The votes that made the rulings on a docket."""

    def __init__(self, folder: Path) -> None:
        """Read them; raises `BadInputError` by line."""
        ruled = {"ruled", "to be ruled"}
        self._noted = {_place(one): one for one in read_opinions(folder) if one.outcome in ruled}

    def of(self, ruling: Ruling) -> tuple[int, ...]:
        """Votes by category in the taxonomy's order; none where no noted vote made this ruling."""
        noted = self._noted.get((ruling.case_id, ruling.ruled_by, ruling.ruled_at))
        if noted is None or ruling.by != "adjudicator" or not noted.votes.get(ruling.category):
            return ()
        return tuple(noted.votes.get(category, 0) for category in CATEGORIES)


def _place(noted: NotedOpinion) -> tuple[str, str, datetime]:
    return noted.case_id, noted.adjudicator, noted.asked_at
