"""Reasoned cases in, preference pairs out: of each video a right reasoning beside a wrong one, asked in both orders.

The wrong reasoning is another case's, of another category: it reads as well as the right one and is wrong about this
video, so that a judge has to look. The rows are what a judge is asked (`messages_of_pair`), with the reasoning that a
cold start of R1-Reward (arXiv 2505.02835) learns from.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from contracts.errors import BadInputError
from contracts.preferences import PreferencePair
from contracts.reasoning import Reasoning, Unparsed, enveloped, parse_states
from policy.casebook import Evidence
from policy.reasoning.pairwise import messages_of_pair
from policy.reasoning.question import Budget, data_url, shown
from policy.reasoning.rows import Picture, Row, question_of


class Pair(NamedTuple):
    """A preference pair, its pictures uint8 [H, W, 3], and the right reasoning about the video."""

    pair: PreferencePair
    pictures: list[Picture]
    right: Reasoning


def moderation_pairs(evidence: Sequence[Evidence], budget: Budget, *, seed: int = 0) -> list[Pair]:
    """A pair for each case that is reasoned by states; the wrong reasoning is drawn from the others by the seed.

    Raises `BadInputError` where the reasoned cases are of fewer than two categories.
    """
    read = [(item, parse_states(item.case.reasoning, item.case.category)) for item in evidence]
    reasoned = [(item, found) for item, found in read if not isinstance(found, Unparsed)]
    if len({found.category for _, found in reasoned}) < 2:
        raise BadInputError(f"{len(reasoned)} reasoned cases of one category, pairs need at least two categories")
    rng = np.random.default_rng(seed)
    pairs = []
    for item, right in reasoned:
        while (wrong := reasoned[int(rng.integers(len(reasoned)))][1]).category is right.category:
            continue
        pair = PreferencePair(
            id=item.case.case_id,
            prompt=_request(item, budget),
            chosen=told(right),
            rejected=told(wrong),
            kind=right.category.value,
        )
        pairs.append(Pair(pair, shown(question_of(item.case, item.frames), budget), right))
    return pairs


def preference_rows(pairs: Sequence[Pair]) -> list[Row]:
    """Two rows a pair: the right reasoning stands first in one of them, second in the other."""
    rows = []
    for one in pairs:
        pictures = [data_url(picture) for picture in one.pictures]
        for place in (1, 2):
            first, second = (one.pair.chosen, one.pair.rejected) if place == 1 else (one.pair.rejected, one.pair.chosen)
            think = f"the video has {one.right.content}, response {place} is right"
            rows.append(
                Row(
                    f"{one.pair.id}/{place}",
                    "preference",
                    messages_of_pair(one.pair.prompt, first, second, pictures),
                    one.pictures,
                    enveloped(think, str(place)),
                    str(place),
                )
            )
    return rows


def told(reasoning: Reasoning) -> str:
    """A reasoning as a response: what it saw and what it concludes, without the tags of its form."""
    return f"{reasoning.content}. {reasoning.summary}."


def _request(item: Evidence, budget: Budget) -> str:
    upload = item.case.upload
    said = (text[: budget.chars] for text in (upload.title, upload.ocr, upload.asr) if text)
    return f"Which rule does this video break? {'|'.join(said)}"
