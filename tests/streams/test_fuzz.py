"""The short form of `python -m bench fuzz`: what goes in comes out, judged or refused with a reason; nothing breaks."""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.fuzz import failures
from bench.fuzz.events import fuzz_events
from bench.fuzz.films import damaged, fuzz_films, write_sources
from bench.fuzz.mutations import LEVELS, mutated
from bench.fuzz.running import fuzz_worker
from bench.fuzz.watching import Growth, Watch
from contracts.dead_letters import DeadReason
from tests.streams.events import raw

SOUND = {
    "sent": 3,
    "accepted": 1,
    "repeated": 1,
    "refused": {"clock": 1},
    "crashes": 0,
    "first_crash": "",
    "growth": [],
}


def grown(end_mb: float, files_after: int) -> dict[str, Any]:
    return {"what": "x", "halfway_mb": 100.0, "end_mb": end_mb, "mb_per_1000": 1.0} | {
        "files_before": 9,
        "files_after": files_after,
    }


def test_five_thousand_mutated_events_are_each_judged_repeated_or_refused(tmp_path: Path) -> None:
    found = asyncio.run(fuzz_events(tmp_path, 5_000, seed=11))
    assert failures({"events": found}) == [], found["first_crash"]
    assert found["accepted"] > 500
    every = {str(reason) for reason in DeadReason} - {DeadReason.MEDIA, DeadReason.REFUSED, DeadReason.UNEXPECTED}
    assert every <= set(found["refused"])
    assert {"media: scheme_refused", "media: outside_roots", "media: address_refused"} <= set(found["refused"])


def test_a_hundred_and_fifty_damaged_films_are_each_decoded_or_refused(tmp_path: Path) -> None:
    found = asyncio.run(fuzz_films(tmp_path, 150, seed=12))
    assert failures({"films": found}) == [], found["first_crash"]
    assert found["accepted"] > 10
    assert {"truncated", "unreadable"} <= set(found["refused"])


def test_a_real_worker_on_the_broker_answers_every_mutated_event_and_is_the_same_process_after(tmp_path: Path) -> None:
    found = fuzz_worker(tmp_path, 1_500, seed=13)
    assert failures({"worker": found}) == [], found["first_crash"]
    assert found["accepted"] > 100
    assert {"contract", "invalid_json", "invalid_utf8", "media"} <= set(found["refused"])


def test_every_level_is_mutated_and_most_mutations_change_the_event() -> None:
    rng, event = random.Random(3), raw("x").value or b""
    levels = Counter(level for level, value in (mutated(event, event, rng) for _ in range(2_000)) if value != event)
    assert set(levels) == set(LEVELS) - {"as it is"}
    assert min(levels.values()) > 100


def test_films_are_made_without_a_change_to_how_this_process_is_scheduled(tmp_path: Path) -> None:
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    made = write_sources(tmp_path)
    assert {path.suffix for path in made} >= {".mp4", ".webm", ".png"}
    assert (os.sched_getscheduler(0), os.sched_getparam(0)) == before


def test_damage_changes_a_film_and_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    film, other = (path.read_bytes() for path in write_sources(tmp_path)[:2])
    once = [damaged(film, other, random.Random(seed)) for seed in range(50)]
    assert once == [damaged(film, other, random.Random(seed)) for seed in range(50)]
    assert sum(one != film for one in once) > 45


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({}, None),
        ({"accepted": 0}, "are not accepted"),
        ({"crashes": 1, "first_crash": "a film"}, "1 crashes, the first over a film"),
        (
            {"growth": [grown(150.0, 9)]},
            "MB",
        ),
        (
            {"growth": [grown(101.0, 12)]},
            "9 -> 12",
        ),
    ],
)
def test_what_must_not_be_is_named(changes: dict[str, Any], complaint: str | None) -> None:
    found = failures({"x": {**SOUND, **changes}})
    assert [complaint in one for one in found] == ([True] if complaint else [])


def test_growth_is_that_of_the_second_half_of_the_last_process() -> None:
    watch = Watch(
        "x", [(1, 0, 900.0, 99), *((2, sent, 100.0 + max(0, sent - 500) / 100, 7) for sent in range(0, 1_001, 100))]
    )
    # from 500 to 1,000 sent it grows by 1 MB a hundred
    assert Growth(**watch.growth()) == Growth("x", 100.0, 105.0, pytest.approx(10.0), 7, 7)
