"""Cases that wait in, what a VLM's votes ruled on them out: its endpoint is a part of the stack, asked by its protocol.

What it finds good, and what its votes do not settle, goes on waiting for a person.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts.taxonomy import Category
from policy.docket.docket import Docket
from policy.docket.principals import Principal, Role
from policy.reasoning.adjudicate import adjudicate
from policy.reasoning.adjudicator import VotingAdjudicator
from policy.reasoning.endpoint import ChatClient, Endpoint
from policy.reasoning.models.checkpoint import read_record
from policy.reasoning.question import Budget
from streams.stack import Stack

VLM = Principal("demo-vlm", Role.ADJUDICATOR)
VOTES = 5


@dataclass(frozen=True, slots=True)
class Adjudicated:
    """What became of the cases that a VLM was asked about, and how many of its rulings are right."""

    outcomes: Mapping[str, int]
    right: int

    def lines(self) -> Iterator[str]:
        """What to print of it."""
        ruled = self.outcomes.get("ruled", 0)
        others = [f"{times} {outcome}" for outcome, times in self.outcomes.items() if outcome != "ruled"]
        asked = sum(self.outcomes.values())
        yield f"{asked} waiting cases, {VOTES} votes each: {ruled} ruled, {self.right} of them rightly"
        if others:
            yield ", ".join(others)


def rule_by_votes(stack: Stack, checkpoint: Path, truth: Mapping[str, Category], *, at_most: int) -> Adjudicated:
    """Serve the checkpoint, and have it rule on up to `at_most` waiting cases whose videos' `truth` is known.

    Raises `DependencyError` where the endpoint does not come up or does not answer.
    """
    record = read_record(checkpoint)
    budget = Budget() if record is None else Budget(record.frames, record.chars)
    judge = stack.start("judge", "judge", "--checkpoint", str(checkpoint.absolute()), "--device", "cpu")
    voting = VotingAdjudicator(ChatClient(Endpoint(judge.address, str(checkpoint.absolute()))).complete, VOTES, budget)
    docket = Docket(Path(stack.environment["PRECEDENT_DOCKET"]))
    try:
        asked = adjudicate(docket, voting, docket.folder, VLM, at_most=at_most, now=datetime.now(UTC))
        videos = {
            file.opened.case_id: file.opened.video_id for file in map(docket.file, [one.case_id for one in asked])
        }
    finally:
        docket.close()
    right = sum(one.outcome == "ruled" and truth.get(videos[one.case_id]) is one.opinion.category for one in asked)
    return Adjudicated(dict(Counter(one.outcome for one in asked).most_common()), right)
