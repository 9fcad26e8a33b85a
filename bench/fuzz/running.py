"""Mutated uploads on the embedded broker -> a real worker -> as many verdicts and dead letters, and the same worker."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer

from bench.fuzz.events import mutations
from bench.fuzz.films import SOURCES, write_sources
from bench.fuzz.watching import Watch
from bench.stand_in import point_to, random_casebook, write_release
from contracts.dead_letters import DeadLetter, DeadReason
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from streams.stack import Stack, embedded_stack

QUIET_S = 30.0
"""So long may nothing come before what is missing counts as lost."""
STEP = 250


def fuzz_worker(home: Path, many: int, seed: int) -> dict[str, Any]:
    """Send mutated uploads to a worker that scores in its own process; sent is what the topic got."""
    addresses = [path.as_uri() for path in write_sources(home / "media", SOURCES[:2])]
    point_to(home / "releases", write_release(home / "releases", 1, random_casebook(50)))
    values = [value for _, value in mutations(many, seed, addresses)]
    with embedded_stack(
        home / "state",
        home / "releases",
        workers=1,
        warehouse=False,
        triton=False,
        media_roots=(home / "media",),
    ) as stack:
        return _sent_and_found(stack, values)


def _sent_and_found(stack: Stack, values: list[bytes | None]) -> dict[str, Any]:
    began = time.perf_counter()
    producer = Producer(stack.kafka.client({"linger.ms": 1}))
    reader = Consumer(stack.kafka.client({"group.id": "fuzz", "auto.offset.reset": "earliest"}))
    reader.subscribe([VIDEOS_VERDICTS.name, VIDEOS_UPLOADED.dead])
    [worker] = stack.workers
    process = worker.pid
    watch = Watch("the worker")
    found: Counter[str] = Counter()
    last, sent = time.monotonic(), 0
    first_crash = ""
    while sum(found.values()) < len(values) and time.monotonic() - last < QUIET_S:
        if sent < len(values) and sent - sum(found.values()) < 4 * STEP:
            for value in values[sent : sent + STEP]:
                producer.produce(VIDEOS_UPLOADED.name, value)
            producer.flush(10)
            sent += len(values[sent : sent + STEP])
        for message in reader.consume(500, timeout=0.2):
            if message.error() is not None:
                continue
            last = time.monotonic()
            if message.topic() == VIDEOS_VERDICTS.name:
                Verdict.model_validate_json(message.value())
                found["accepted"] += 1
                continue
            letter = DeadLetter.model_validate_json(message.value())
            broke = letter.reason is DeadReason.UNEXPECTED or letter.place == "crashed"
            first_crash = first_crash or (f"{letter.text}: {letter.raw[:300]!r}" if broke else "")
            found["crashed" if broke else str(letter.reason)] += 1
        watch.read(process, sum(found.values()))
    reader.close()
    alive = worker.running() and worker.pid == process
    accepted, crashed = found.pop("accepted", 0), found["crashed"]
    return {
        "sent": sent,
        "accepted": accepted,
        "repeated": 0,
        "refused": {reason: count for reason, count in found.items() if count},
        "crashes": crashed + (not alive),
        "first_crash": first_crash if alive else f"the worker ended: {worker.complaints()}",
        "growth": [watch.growth()],
        "took_s": time.perf_counter() - began,
    }
