"""What adjudicators thought of cases, noted beside the docket: nobody is asked twice, and no vote is forgotten.

DOCKET/opinions.jsonl   a line an opinion, in the order of asking
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from contracts.cases import Ruling
from contracts.lines import read_lines
from contracts.records import Count, Id, Probability, Record, Time
from contracts.taxonomy import CATEGORIES, Category

OPINIONS = "opinions.jsonl"
Outcome = Literal["ruled", "positive waits for a person", "abstains", "refused", "frames unreadable"]


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
    """Add an opinion; it is on the disk when this returns."""
    with (folder / OPINIONS).open("a", encoding="utf-8") as opinions:
        opinions.write(noted.model_dump_json() + "\n")
        opinions.flush()
        os.fsync(opinions.fileno())


def read_opinions(folder: Path) -> list[NotedOpinion]:
    """What adjudicators thought, oldest first; raises `BadInputError` by line."""
    path = folder / OPINIONS
    return list(read_lines(path, NotedOpinion)) if path.exists() else []


def votes_for(ruling: Ruling, opinions: Mapping[str, NotedOpinion]) -> tuple[int, ...]:
    """The votes that made a ruling, by category in the taxonomy's order; none where no noted vote did.

    `opinions` are by case id.
    """
    noted = opinions.get(ruling.case_id)
    if noted is None or ruling.by != "adjudicator" or noted.adjudicator != ruling.ruled_by:
        return ()
    if noted.category is not ruling.category or not noted.votes.get(ruling.category):
        return ()
    return tuple(noted.votes.get(category, 0) for category in CATEGORIES)
