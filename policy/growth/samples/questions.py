"""Pictures with the types that fit in, a question and its answer for each picture and type out.

Step 4 of TaskGalaxy (arXiv 2502.09925, section 3.4). The types of one picture are asked about together, since it is the
picture that costs; what is missing of an answer is asked for again alone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from contracts.errors import BadInputError
from contracts.reasoning import Unparsed
from policy.growth.calls.ask import Ask, Said
from policy.growth.calls.stage import Outcome, Row, Stage
from policy.growth.parts import Schema, plan_digest, read_part
from policy.growth.samples.replies import is_count, object_in
from policy.growth.samples.showing import Typed, numbered, picture_messages, system_of
from policy.growth.samples.strike import KEPT as STRUCK
from policy.growth.samples.strike import UNUSABLE, ShowingSettings, frames_beside, typed
from policy.growth.taxonomy.folder import version_of
from policy.growth.taxonomy.hierarchy import Taxonomy
from policy.reasoning.endpoint import Endpoint

KEPT: Schema = {
    "sample_id": pl.String,
    "picture_id": pl.String,
    "node_id": pl.String,
    "question": pl.String,
    "answer": pl.String,
}
DROPPED: Schema = {"picture_id": pl.String, "node_id": pl.String, "reason": pl.String, "detail": pl.String}
MOST_QUESTION, MOST_ANSWER = 1_000, 4_000
"""Characters."""

TASK = """You are shown a picture and a list of types of questions that fit it. For each type write one question of
that type about this picture, and its right answer. Who answers sees the picture and the question and nothing else: the
question must need the picture, the answer must follow from what is to be seen, and neither may name the type's number.
Answer with exactly one JSON object and nothing else, one entry for each type, by its number:
{"samples": [{"type": 1, "question": "…", "answer": "…"}]}"""


class Fitting(NamedTuple):
    """A picture and some of the types that fit it."""

    picture_id: str
    first: int
    frames: Sequence[bytes]
    types: Sequence[Typed]

    @property
    def item_id(self) -> str:
        """Of the picture and the place of its first type among its types."""
        return f"{self.picture_id}.{self.first}"


@dataclass(frozen=True, slots=True)
class QuestionSettings:
    """How pictures are shown, and for how many types of one picture one request asks."""

    showing: ShowingSettings = ShowingSettings()
    types: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.types <= 50:
            raise BadInputError(f"types == {self.types}, must be in [1, 50] (of a request for questions)")


def question_stage(home: Path, taxonomy: Taxonomy, llm: Endpoint, settings: QuestionSettings) -> Stage[Fitting]:
    """HOME/struck -> HOME/questions."""

    async def follow(item: Fitting, ask: Ask) -> Outcome:
        return await write_questions(item, ask, settings)

    return Stage(
        "questions",
        home / "struck",
        home / "questions",
        KEPT,
        DROPPED,
        plan_digest(
            "questions",
            {
                "task": system_of(TASK),
                "taxonomy": version_of(taxonomy),
                "llm": llm.model,
                "most_tokens": llm.most_tokens,
                **asdict(settings),
            },
        ),
        lambda part: _fitting(home, part, taxonomy, settings.types),
        follow,
    )


async def write_questions(item: Fitting, ask: Ask, settings: QuestionSettings) -> Outcome:
    """Ask for a question and an answer of each type, again for those that are missing."""
    found: dict[str, tuple[str, str]] = {}
    left, why = list(item.types), ""
    for attempt in range(1, settings.showing.tries + 1):
        told = numbered([one.label for one in left])
        messages = picture_messages(TASK, item.frames, told, at_most=settings.showing.frames)
        read = read_questions(await ask(item.item_id, attempt, messages), len(left))
        if isinstance(read, Unparsed):
            why = read.reason
            continue
        found |= {left[number - 1].node_id: sample for number, sample in read.samples.items()}
        left = [one for one in left if one.node_id not in found]
        why = read.broken
        if not left:
            break
    kept: list[Row] = [
        (sample_id_of(item.picture_id, one.node_id), item.picture_id, one.node_id, *found[one.node_id])
        for one in item.types
        if one.node_id in found
    ]
    return Outcome(kept, [(item.picture_id, one.node_id, UNUSABLE, why) for one in left])


class Read(NamedTuple):
    """The samples of an answer that can be used, by number, and the rule that the last of the others breaks."""

    samples: dict[int, tuple[str, str]]
    broken: str


def read_questions(said: Said, n: int) -> Read | Unparsed:
    """Samples by the number of their type, of n; the first counts where a number comes twice."""
    found = object_in(said, "samples")
    if isinstance(found, Unparsed):
        return found
    if not isinstance(found["samples"], list):
        return Unparsed("samples must be a list")
    samples, broken = dict[int, tuple[str, str]](), "has no entry for the type"
    for entry in found["samples"]:
        rule = _broken(entry, n)
        if rule:
            broken = rule
        elif entry["type"] not in samples:
            samples[entry["type"]] = (entry["question"].strip(), entry["answer"].strip())
    return Read(samples, broken)


def sample_id_of(picture_id: str, node_id: str) -> str:
    """A sample's id, of its picture's content and its type: made twice, it is the same."""
    return hashlib.sha256(f"{picture_id} {node_id}".encode()).hexdigest()[:32]


def _broken(entry: Any, n: int) -> str:
    """By which rule an entry cannot be used; empty where it can."""
    if not isinstance(entry, dict) or set(entry) != {"type", "question", "answer"}:
        return "an entry must have type, question and answer"
    if not is_count(entry["type"], 1, n):
        return "type must be the number of one that was given"
    for name, most in (("question", MOST_QUESTION), ("answer", MOST_ANSWER)):
        text = entry[name]
        if not isinstance(text, str) or not 1 <= len(text.strip()) <= most:
            return f"{name} must be a text of 1 to {most} characters"
        if "<image>" in text:
            return f"{name} must not hold the mark of a picture"
        if "<|" in text:  # as in <|im_end|>: a chat template would take it for the end of a turn
            return f"{name} must not hold a chat's control token"
    return ""


def _fitting(home: Path, part: Path, taxonomy: Taxonomy, at_once: int) -> list[Fitting]:
    frames = frames_beside(home, part)
    return [
        Fitting(picture_id, first, frames[picture_id], typed(node_ids[first : first + at_once], taxonomy))
        for picture_id, node_ids in read_part(part, STRUCK, ["picture_id", "node_ids"]).iter_rows()
        for first in range(0, len(node_ids), at_once)
    ]
