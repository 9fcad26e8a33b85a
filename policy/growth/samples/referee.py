"""Samples in, those that at least two of three referees let pass out, and how far the referees agree.

Step 5 of TaskGalaxy (arXiv 2502.09925, section 3.5): three models score each sample 0 or 1, two or more ones keep it.
Where one referee is away the other two decide; one alone does not. Agreement is Fleiss' kappa (Psychological Bulletin
76, 1971) over the samples that all three scored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import polars as pl

from contracts.errors import BadInputError
from contracts.reasoning import Unparsed
from policy.growth.calls.ask import Ask, AwayError, Said
from policy.growth.calls.stage import Outcome, Row, Stage
from policy.growth.parts import Schema, dropped_of, parts_of, plan_digest, read_part
from policy.growth.samples.questions import KEPT as QUESTIONS
from policy.growth.samples.replies import is_count, object_in
from policy.growth.samples.showing import numbered, picture_messages, system_of
from policy.growth.samples.strike import ShowingSettings, frames_beside
from policy.growth.taxonomy.folder import version_of
from policy.growth.taxonomy.hierarchy import Taxonomy
from policy.reasoning.endpoint import Endpoint

REFEREES, NEEDED = 3, 2
SEATS = tuple(f"referee-{number}" for number in range(1, REFEREES + 1))
KEPT: Schema = {**QUESTIONS, "scores": pl.List(pl.Int8)}
DROPPED: Schema = {**KEPT, "reason": pl.String, "detail": pl.String}
AT_ONCE = 16
"""Samples of one picture that one request asks about."""

TASK = """You are shown a picture and questions about it with their answers, each with the type of question that it is
meant to be. Score each 1 where the question is of its type and can be answered from the picture alone, and its answer
is right and complete; else 0. Answer with exactly one JSON object and nothing else, the scores in the order given:
{"scores": [1, 0]}"""


class Sample(NamedTuple):
    """A question and its answer, as they are kept, and the label of their type."""

    row: tuple[str, str, str, str, str]
    label: str

    @property
    def told(self) -> str:
        return f"Type: {self.label}\n   Question: {_on_a_line(self.row[3])}\n   Answer: {_on_a_line(self.row[4])}"


class Heard(NamedTuple):
    """Some samples of one picture."""

    item_id: str
    frames: Sequence[bytes]
    samples: Sequence[Sample]


def referee_stage(
    home: Path, taxonomy: Taxonomy, referees: Mapping[str, Endpoint], settings: ShowingSettings
) -> Stage[Heard]:
    """HOME/questions -> HOME/judged; `referees` by `SEATS`.

    Raises `BadInputError` unless there are three, each at another address or with another model.
    """
    if tuple(referees) != SEATS:
        raise BadInputError(f"{len(referees)} referees, must be {REFEREES}")
    if len({(at.base, at.model) for at in referees.values()}) < REFEREES:
        raise BadInputError("two referees are the same model at the same address, each must be another")

    async def follow(item: Heard, ask: Ask) -> Outcome:
        return await judge(item, ask, settings)

    models = [[at.model, at.most_tokens] for at in referees.values()]
    return Stage(
        "referee",
        home / "questions",
        home / "judged",
        KEPT,
        DROPPED,
        plan_digest(
            "referee",
            {
                "task": system_of(TASK),
                "at_once": AT_ONCE,
                "taxonomy": version_of(taxonomy),
                "referees": models,
                **asdict(settings),
            },
        ),
        lambda part: _heard(home, part, taxonomy),
        follow,
    )


async def judge(item: Heard, ask: Ask, settings: ShowingSettings) -> Outcome:
    """Ask all referees about some samples of a picture.

    Raises `AwayError` where so many are away that the others cannot decide.
    """
    told = numbered([sample.told for sample in item.samples])
    messages = picture_messages(TASK, item.frames, told, at_most=settings.frames)

    async def scores_of(seat: str) -> Sequence[int] | Unparsed | AwayError:
        found: Sequence[int] | Unparsed = Unparsed("")
        for attempt in range(1, settings.tries + 1):
            try:
                found = read_scores(await ask(item.item_id, attempt, messages, seat=seat), len(item.samples))
            except AwayError as error:
                return error
            if not isinstance(found, Unparsed):
                break
        return found

    # all are waited for, whatever one of them raises: what is under way is paid, and its journal is open until then
    heard = list[Sequence[int] | Unparsed | AwayError]()
    for one in await asyncio.gather(*map(scores_of, SEATS), return_exceptions=True):
        if isinstance(one, BaseException) and not isinstance(one, AwayError):
            raise one
        heard.append(one)
    away = [one for one in heard if isinstance(one, AwayError)]
    if REFEREES - len(away) < NEEDED:
        raise away[0]
    silent = [
        f"{seat}: {'is away' if isinstance(one, AwayError) else one.reason}"
        for seat, one in zip(SEATS, heard, strict=True)
        if isinstance(one, (AwayError, Unparsed))
    ]
    kept, dropped = list[Row](), list[Row]()
    for at, sample in enumerate(item.samples):
        scores = [None if isinstance(one, (AwayError, Unparsed)) else one[at] for one in heard]
        if sum(score == 1 for score in scores) >= NEEDED:
            kept.append((*sample.row, scores))
        else:
            dropped.append((*sample.row, scores, reason_of(scores), "; ".join(silent)))
    return Outcome(kept, dropped)


def reason_of(scores: Sequence[int | None]) -> str:
    """Why a sample is dropped: by the votes it has of those that were given."""
    given = [score for score in scores if score is not None]
    return f"{sum(given)} of {len(given)} votes"


def read_scores(said: Said, n: int) -> Sequence[int] | Unparsed:
    """N scores of 0 or 1, in order."""
    found = object_in(said, "scores")
    if isinstance(found, Unparsed):
        return found
    scores = found["scores"]
    if not isinstance(scores, list) or not all(is_count(score, 0, 1) for score in scores):
        return Unparsed("scores must be a list of 0 and 1")
    if len(scores) != n:
        return Unparsed(f"has {len(scores)} scores, must have {n}")
    return scores


class Agreement(NamedTuple):
    """Fleiss' kappa of the referees, over n samples that all scored; None where chance alone agrees in all."""

    n: int
    kappa: float | None


def agreement(home: Path) -> Agreement:
    """How far the referees agree about the samples that were judged, kept or not."""
    parts = parts_of(home / "judged")
    if not parts:
        return Agreement(0, None)
    ones = pl.concat([pl.scan_parquet(path).select("scores") for part in parts for path in (part, dropped_of(part))])
    counted = (
        ones.filter(pl.col("scores").list.drop_nulls().list.len() == REFEREES)
        .select(pl.col("scores").list.sum().cast(pl.Int64))
        .group_by("scores")
        .len()
        .collect()
    )
    return fleiss(dict(counted.iter_rows()))


def fleiss(votes: Mapping[int, int]) -> Agreement:
    """Kappa of three raters and two answers; `votes`: how many samples had 0, 1, 2 or 3 ones (Fleiss 1971, eq. 7).

    Of a sample with v ones the raters agree in (v (v - 1) + (3 - v) (2 - v)) of their 6 pairs.
    """
    n = sum(votes.values())
    if n == 0:
        return Agreement(0, None)
    agree = sum(
        times * (v * (v - 1) + (REFEREES - v) * (REFEREES - v - 1)) / (REFEREES * (REFEREES - 1))
        for v, times in votes.items()
    )
    p = sum(times * v for v, times in votes.items()) / (REFEREES * n)
    by_chance = p * p + (1 - p) * (1 - p)
    return Agreement(n, None if by_chance == 1.0 else (agree / n - by_chance) / (1 - by_chance))


def _heard(home: Path, part: Path, taxonomy: Taxonomy) -> list[Heard]:
    frames = frames_beside(home, part)
    found = list[Heard]()
    for picture_id, rows in groupby(read_part(part, QUESTIONS).iter_rows(), key=lambda row: row[1]):
        samples = [Sample(row, taxonomy.by_id(row[2]).label) for row in rows]
        found += [
            Heard(f"{picture_id}.{first}", frames[picture_id], samples[first : first + AT_ONCE])
            for first in range(0, len(samples), AT_ONCE)
        ]
    return found


def _on_a_line(text: str) -> str:
    return " ".join(text.split())
