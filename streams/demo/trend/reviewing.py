"""Waiting cases in, rulings out, through the court's HTTP API with a token: what a reviewer's tool does."""

import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from contracts.cases import DecidedCase
from contracts.taxonomy import Category
from policy.docket.principals import Role, Tokens
from simulation.reviewers import Reviewers


class Reviewed(NamedTuple):
    """How many cases waited, how many were ruled on, and how many of these rulings are wrong."""

    opened: int
    ruled: int
    wrong: int


def review(
    court: str,
    tokens: Path,
    truth: Mapping[str, DecidedCase],
    about: Category,
    reviewers: Reviewers,
    *,
    enough: int,
    within_s: float,
    advance: Callable[[int], None],
) -> Reviewed:
    """Wait for cases on the videos of `truth` to be opened, then rule on them, most harmful first, up to `enough`.

    Looks again until so many were ruled on or the time is over; cases on other videos are left to others.
    """
    token = Tokens(tokens).issue("demo-reviewer", Role.REVIEWER)
    until, ruled, wrong, seen = time.monotonic() + within_s, 0, 0, set[str]()
    while ruled < enough and time.monotonic() < until:
        cases = _ask(court, "/cases?status=waiting&at_most=1000", token)["cases"]
        ours = [case for case in cases if case["video_id"] in truth]
        seen |= {case["case_id"] for case in ours}
        for case in ours[: enough - ruled]:
            true = truth[case["video_id"]].category
            found = reviewers(case["case_id"], true, about)
            body = {"category": found.value, "reasoning": "looked at title, subtitles, speech and frames"}
            _ask(court, f"/cases/{case['case_id']}/rulings", token, body)
            ruled, wrong = ruled + 1, wrong + (found is not true)
            advance(1)
        time.sleep(0.5)
    return Reviewed(len(seen), ruled, wrong)


def _ask(court: str, path: str, token: str, body: Mapping[str, str] | None = None) -> Any:
    request = urllib.request.Request(
        f"http://{court}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20.0) as answer:
        return json.load(answer)
