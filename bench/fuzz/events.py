"""Mutated uploads through the edge and the whole of moderation in this process, batch by batch, as a worker does it."""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.fuzz.films import SOURCES, write_sources
from bench.fuzz.mutations import mutated
from bench.fuzz.watching import Watch
from bench.stand_in import SHAPE, random_casebook, write_release
from contracts.dead_letters import MAX_KEPT_BYTES, DeadLetter, DeadReason
from contracts.verdicts import Verdict
from policy.decide import judge
from serving.in_process import InProcessScorer
from serving.preprocess.batch import preprocess
from serving.releases import ReleasesRoot
from simulation.uploads import text_uploads
from streams.moderation import Moderated, Parts, Policy, check, groups, moderate
from streams.worker.assemble import PoolPerShape

BATCH = 256


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the topic of uploads."""

    value: bytes | None
    offset: int
    topic: str = "videos.uploaded"
    partition: int = 0
    timestamp: float = 0.0
    key: bytes | None = None


def mutations(
    many: int, seed: int, addresses: list[str], *, replayed: float = 0.0
) -> Iterator[tuple[str, bytes | None]]:
    """So many mutated uploads, each made from a real one with ids of its own; a share comes a second time at once."""
    rng = random.Random(seed)
    uploads = list(text_uploads(4_096, seed=seed))
    last: tuple[str, bytes | None] | None = None
    for number in range(many):
        if last is not None and rng.random() < replayed:
            yield "replayed", last[1]
            continue
        one, other = rng.sample(uploads, 2)
        own = one.model_copy(update={"event_id": f"e-{seed}-{number}", "video_id": f"v-{seed}-{number}"})
        event, stranger = (each.model_dump_json(exclude_none=True).encode() for each in (own, other))
        last = mutated(event, stranger, rng, addresses)
        yield last


async def fuzz_events(home: Path, many: int, seed: int) -> dict[str, Any]:
    """Send mutated uploads; every verdict and dead letter is written and read again as it is on its topic."""
    media = home / "media"
    addresses = [path.as_uri() for path in write_sources(media, SOURCES[:2])]
    pin = write_release(home / "releases", 1, random_casebook(50))
    policy = Policy(ReleasesRoot(home / "releases").open(1).release, pin)
    scorer, decoder = InProcessScorer(home / "releases"), PoolPerShape((media,), 1)
    parts = Parts(decoder, preprocess, scorer, judge)
    await decoder.decode([], SHAPE)
    parent, child = Watch("the moderating process"), Watch("its decode process")
    accepted = repeated = 0
    refused: Counter[str] = Counter()
    crashes: list[str] = []
    records = [Record(value, place) for place, (_, value) in enumerate(mutations(many, seed, addresses, replayed=0.01))]
    began = time.perf_counter()
    try:
        for start in range(0, many, BATCH):
            now = datetime.now(UTC)
            checked = check(records[start : start + BATCH], now)
            repeated += checked.repeated
            found = Moderated([], checked.dead)
            for group in groups(checked.accepted, 32):
                judged = await moderate(group, parts, policy, now=lambda: datetime.now(UTC))
                found = Moderated(found.verdicts + judged.verdicts, found.dead + judged.dead)
            accepted += len([Verdict.model_validate_json(one.model_dump_json()) for one in found.verdicts])
            for letter in found.dead:
                if what := _crash(letter, records[letter.offset]):
                    crashes.append(what)
                refused[_reason(letter)] += 1
            parent.read(os.getpid(), start)
            for pid in decoder.pids:
                child.read(pid, start)
    finally:
        await decoder.close()
        await scorer.close()
    return {
        "sent": many,
        "accepted": accepted,
        "repeated": repeated,
        "refused": dict(refused),
        "crashes": len(crashes),
        "first_crash": crashes[0] if crashes else "",
        "growth": [parent.growth(), child.growth()],
        "took_s": time.perf_counter() - began,
    }


def _reason(letter: DeadLetter) -> str:
    return f"media: {letter.place}" if letter.reason is DeadReason.MEDIA else str(letter.reason)


def _crash(letter: DeadLetter, record: Record) -> str:
    """What is wrong with a letter: it blames the code or a crash, or is not what it was once it was written."""
    again = DeadLetter.model_validate_json(letter.model_dump_json())
    if again != letter or again.raw != (record.value or b"")[:MAX_KEPT_BYTES]:
        return f"a letter that is not read again as it was: {letter.text}"
    broke = letter.reason is DeadReason.UNEXPECTED or letter.place == "crashed"
    return f"{letter.text}: {letter.raw[:300]!r}" if broke else ""
