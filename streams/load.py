"""Uploads at a schedule in, latencies and a ledger out: an open-loop generator and the checker of its events.

Every event has an intended send time, i / rate after the start, whether or not the path keeps up; latencies
count from it, so that a stall is seen by every event that it delays. The embedded broker keeps 5 MB a
partition: when that many bytes have no verdict yet, sending is held back, and the clock of the held events
runs. Without a rate it sends as fast as verdicts come back.

Features are written before their verdict is produced, so the time at which a worker produced the verdict
bounds from above when its features could be read. `python -m streams.load --help`.
"""

import base64
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import orjson
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from contracts.errors import BadInputError, DependencyError
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from contracts.videos import VideoUploaded
from streams.kafka.broker import PARTITION_BYTES, PARTITIONS

HELD_BYTES = PARTITIONS * PARTITION_BYTES // 2
"""Bytes without a verdict beyond which sending waits: half of what the embedded broker keeps."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How much is sent: `count` events, at `rate` a second, or without a rate as fast as `window` allows."""

    broker: str
    count: int
    rate: float | None
    warm_up: int = 0
    window: int = 2_000
    patience_s: float = 30.0


@dataclass(slots=True)
class Ledger:
    """What became of each event; times in seconds since 1970, NaN where it did not happen."""

    run: str
    intended_s: npt.NDArray[np.float64]
    sent_s: npt.NDArray[np.float64]
    produced_s: npt.NDArray[np.float64]
    seen_s: npt.NDArray[np.float64]
    dead: set[int] = field(default_factory=set)
    repeats: int = 0

    @classmethod
    def empty(cls, run: str, count: int) -> "Ledger":
        intended, sent, produced, seen = np.full((4, count), np.nan)
        return cls(run, intended, sent, produced, seen)

    def video_id(self, number: int) -> str:
        return f"{self.run}-{number:07d}"

    def report(self, plan: LoadPlan) -> dict[str, object]:
        """Counts, rate and latencies in milliseconds of the events after the warm-up.

        The rate is of verdicts, from the one that ends the warm-up to the last: many events are under way when the
        warm-up ends, and from the first of these sent it would count work that is not in the figure.
        """
        measured = slice(plan.warm_up, None)
        intended, produced = self.intended_s[measured], self.produced_s[measured]
        finished = np.sort(self.produced_s[~np.isnan(self.produced_s)])
        counted = len(finished) - plan.warm_up
        began = finished[plan.warm_up - 1] if plan.warm_up and counted > 0 else np.nanmin(self.sent_s)
        seconds = finished[-1] - began if counted > 0 else float("nan")
        return {
            "run": self.run,
            "asked_per_s": plan.rate,
            "sent": int((~np.isnan(self.sent_s)).sum()),
            "warm_up": plan.warm_up,
            "verdicts": int((~np.isnan(self.seen_s)).sum()),
            "dead": len(self.dead),
            "repeats": self.repeats,
            "missing": int(np.isnan(self.seen_s).sum()) - len(self.dead),
            "seconds": round(float(seconds), 3),
            "per_s": round(counted / float(seconds), 1),
            "feature_latency_ms": _quantiles(produced - intended),
            "verdict_latency_ms": _quantiles(self.seen_s[measured] - intended),
            "sender_late_ms": _quantiles(self.sent_s[measured] - intended),
        }


def _quantiles(seconds: npt.NDArray[np.float64]) -> dict[str, float]:
    known = seconds[~np.isnan(seconds)] * 1000.0
    if not known.size:
        return {}
    values = np.quantile(known, (0.5, 0.9, 0.99, 0.999, 1.0))
    return {name: round(float(v), 2) for name, v in zip(("p50", "p90", "p99", "p999", "max"), values, strict=True)}


def send_and_check(plan: LoadPlan, uploads: Sequence[VideoUploaded], *, run: str) -> Ledger:
    """Send `plan.count` events made from `uploads` in turn, and wait for each verdict or dead letter.

    Raises `DependencyError` when the topic has no partitions to read. What is missing after `patience_s`
    without any progress stays NaN in the ledger.
    """
    encode = _Encoder(uploads, run)
    ledger = Ledger.empty(run, plan.count)
    producer = Producer(
        {"bootstrap.servers": plan.broker, "linger.ms": 10, "queue.buffering.max.messages": 1_000_000, "log_level": 3}
    )
    consumer = _reader(plan.broker)
    held = min(HELD_BYTES // encode.mean_bytes, plan.count) if plan.rate else plan.window
    start = time.time() + 0.05
    if plan.rate:
        ledger.intended_s[:] = start + np.arange(plan.count) / plan.rate
    number = settled = 0
    progress = time.monotonic()
    while settled < plan.count and time.monotonic() - progress < plan.patience_s:
        now = time.time()
        due = min(int((now - start) * plan.rate) + 1, plan.count) if plan.rate else plan.count
        upto = min(due, settled + held, number + 500)
        for n in range(number, upto):
            if not plan.rate:
                ledger.intended_s[n] = time.time()
            producer.produce(VIDEOS_UPLOADED.name, encode(n, ledger.intended_s[n]), ledger.video_id(n))
            ledger.sent_s[n] = time.time()
        producer.poll(0)
        seen = _settle(consumer.consume(1_000, timeout=0.005 if plan.rate else 0.02), ledger)
        if seen or upto > number:
            progress = time.monotonic()
        number, settled = max(number, upto), settled + seen
    producer.flush(5.0)
    consumer.close()
    return ledger


def _settle(messages: Sequence[Message], ledger: Ledger) -> int:
    """Note verdicts and dead letters; returns how many events they settle."""
    now = time.time()
    settled = 0
    mark = ledger.run.encode() + b"-"
    for message in messages:
        if message.error() is not None:
            continue
        if message.topic() == VIDEOS_VERDICTS.name:
            key = message.key()
            if not key.startswith(mark):
                continue
            number = int(key[len(mark) :])
            if np.isnan(ledger.seen_s[number]):
                ledger.seen_s[number] = now
                ledger.produced_s[number] = message.timestamp()[1] / 1000.0
                settled += 1
            else:
                ledger.repeats += 1
        elif (number_or_none := _dead_number(message, ledger.run)) is not None and number_or_none not in ledger.dead:
            ledger.dead.add(number_or_none)
            settled += 1
    return settled


def _dead_number(message: Message, run: str) -> int | None:
    key = json.loads(message.value())["key_base64"]
    name = base64.b64decode(key).decode(errors="replace") if key else ""
    return int(name[len(run) + 1 :]) if name.startswith(run + "-") else None


def _reader(broker: str) -> Consumer:
    """A consumer of verdicts and dead letters from now on; it reads partitions directly, without joining a group."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": "load",
            "enable.auto.commit": False,
            "fetch.min.bytes": 1 << 16,
            "fetch.wait.max.ms": 20,
            "log_level": 3,
        }
    )
    at_end: list[TopicPartition] = []
    for name in (VIDEOS_VERDICTS.name, VIDEOS_UPLOADED.dead):
        for partition in consumer.list_topics(name, timeout=10.0).topics[name].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10.0)
            at_end.append(TopicPartition(name, partition, end))
    if not at_end:
        raise DependencyError(f"{broker}: {VIDEOS_VERDICTS.name} has no partitions")
    consumer.assign(at_end)
    return consumer


class _Encoder:
    """Uploads as bytes with three holes: event id, video id and time; filling them is all that is done per event."""

    def __init__(self, uploads: Sequence[VideoUploaded], run: str) -> None:
        self._run = run.encode()
        self._rests = [_rest_of(upload) for upload in uploads]
        self.mean_bytes = 150 + int(np.mean([len(rest) for rest in self._rests]))

    def __call__(self, number: int, intended_s: float) -> bytes:
        name = b"%b-%07d" % (self._run, number)
        occurred_at = datetime.fromtimestamp(intended_s, UTC).isoformat().encode()
        rest = self._rests[number % len(self._rests)]
        return b'{"event_id":"%b","video_id":"%b","occurred_at":"%b",%b' % (name, name, occurred_at, rest)


def _rest_of(upload: VideoUploaded) -> bytes:
    fields = upload.model_dump(mode="json", exclude={"event_id", "video_id", "occurred_at"}, exclude_none=True)
    return orjson.dumps(fields)[1:]


def read_uploads(path: Path, *, media: bool) -> Iterator[VideoUploaded]:
    """Uploads of a JSONL file; without `media` their pictures are left out."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                upload = VideoUploaded.model_validate_json(line)
            except ValueError as error:
                raise BadInputError(f"{path}:{number}: {error}") from error
            yield upload if media else upload.model_copy(update={"media_url": None})


@click.command()
@click.option("--broker", envvar="PRECEDENT_BROKER", required=True, help="HOST:PORT")
@click.option("--uploads", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--rate", type=float, default=None, help="events a second; without it, as fast as verdicts come")
@click.option("--count", type=int, required=True, help="events to send, warm-up included")
@click.option("--warm-up", type=int, default=0, show_default=True, help="first events that are not measured")
@click.option("--window", type=int, default=2_000, show_default=True, help="events in flight without a rate")
@click.option("--media/--text-only", default=False, show_default=True)
@click.option("--features/--no-features", default=False, help="look every video's features up at the end")
def main(
    broker: str,
    uploads: Path,
    rate: float | None,
    count: int,
    warm_up: int,
    window: int,
    *,
    media: bool,
    features: bool,
) -> None:
    """Send uploads to running workers and print what became of them as JSON.

    \b
    Example:
      python -m streams.load --broker 127.0.0.1:9092 --uploads uploads.jsonl --rate 1500 --count 15000
    """
    plan = LoadPlan(broker, count, rate, warm_up=warm_up, window=window)
    some = list(read_uploads(uploads, media=media))
    began = time.process_time()
    ledger = send_and_check(plan, some, run=f"load{time.time_ns():x}")
    report = {**ledger.report(plan), "core_s": round(time.process_time() - began, 3)}
    if features:
        report["features_found"] = count_features([ledger.video_id(n) for n in range(count)])
    click.echo(json.dumps(report))


def count_features(video_ids: Sequence[str], *, chunk: int = 500) -> int:
    """How many of the videos have fresh features in the store that the environment names."""
    from features.config import FeaturesConfig
    from features.lookup import Freshness, lookup
    from features.store import open_store

    store = open_store(FeaturesConfig.from_environment(os.environ))
    found: Callable[[Sequence[str]], int] = lambda ids: int(  # noqa: E731
        (lookup(store, ids, datetime.now(UTC)).state_N == Freshness.FRESH).sum()
    )
    return sum(found(video_ids[at : at + chunk]) for at in range(0, len(video_ids), chunk))


if __name__ == "__main__":
    main()
