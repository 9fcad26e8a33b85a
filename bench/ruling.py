"""A ruling to the changed verdict of a similar video: docket, clerk, publication, Triton, workers, in seconds.

Each round takes a simulated video that is allowed. A case on it is entered and ruled on, while copies of it keep coming
from others, one every half second. The clock runs from before the ruling is entered to the moment at which the first
copy is judged differently than the one before the ruling; nothing is restarted. A publication that flips so many recent
decisions that it waits for a person is approved by one and counted apart: it has no time of its own.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from rich.console import Console
from rich.table import Table

from bench.whole_path import CACHE, PathSizes
from bench.whole_path import _release as trained_release
from contracts.cases import Ruling
from contracts.errors import CheckFailedError
from contracts.taxonomy import Category
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from contracts.verdicts import Decision, Verdict
from contracts.videos import VideoUploaded
from policy.cases.opening import OpeningSettings, open_cases
from policy.docket.docket import Docket, NewCase
from policy.docket.principals import Principal, Role
from policy.docket.rules import ruling_id
from policy.publication.held import all_held
from policy.publication.publish import approve_held
from policy.releases import promote
from serving.releases import ReleasesRoot
from simulation.uploads import text_uploads
from streams.kafka.connection import Connection
from streams.stack import embedded_stack

ROUNDS = 5
AIM_S = 60.0
EVERY_S = 0.5
TRAFFIC = 500
SENIOR = Principal("bench-senior", Role.SENIOR)
REVIEWER = Principal("bench-reviewer", Role.REVIEWER)
EVERYTHING = OpeningSettings(audited=dict.fromkeys(Decision, 1.0))


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds from the ruling to a verdict by a new casebook, a changed decision, a new verdict on its own video."""

    to_casebook_s: float
    to_change_s: float
    before: Decision
    after: Decision
    ruled_video_s: float


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Run the rounds, print a table and return the figures."""
    trained = trained_release(ReleasesRoot(CACHE.absolute() / "whole-path-releases"), PathSizes())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        root = ReleasesRoot(folder / "releases")
        promote(root, trained.path, now=datetime.now(UTC))
        line = trained.release.thresholds.toxicity
        with embedded_stack(folder / "state", root.path, workers=2, docket=folder / "docket") as stack:
            docket, videos = Docket(folder / "docket"), _Videos(stack.kafka)
            videos.judge_all(list(text_uploads(TRAFFIC, seed=77)))
            others = text_uploads(10_000, seed=78)
            found, approved = list[Round](), 0
            try:
                while len(found) < rounds:
                    one = _round(len(found) + approved, docket, videos, others, line, root)
                    if one is None:
                        approved += 1
                    else:
                        found.append(one)
            except CheckFailedError as error:
                raise CheckFailedError(f"{error}; the clerk says: {stack.part('clerk').complaints()}") from error
            videos.close()
            docket.close()
    _print(found, approved)
    changed = [one.to_change_s for one in found]
    return {
        "rounds": len(found),
        "waited_for_a_person": approved,
        "to_change_s": changed,
        "median_s": statistics.median(changed),
        "max_s": max(changed),
        "to_casebook_s": [one.to_casebook_s for one in found],
        "ruled_video_s": [one.ruled_video_s for one in found],
        "aim_s": AIM_S,
    }


def _round(
    number: int,
    docket: Docket,
    videos: "_Videos",
    others: Iterator[VideoUploaded],
    line: float,
    root: ReleasesRoot,
) -> Round | None:
    """Rule and wait; None where the publication flips so much that it waits for a person, who approves it here."""
    for words in others:
        similar = _like(words, number)
        ruled = next(similar)
        before, _ = videos.judged(ruled)
        probe, _ = videos.judged(next(similar))
        if probe.decision is before.decision is Decision.ALLOW:
            break
    now = datetime.now(UTC)
    lines = {before.release_version: line}
    [case] = open_cases([before], {}, lines=lines, now=now, settings=EVERYTHING)
    docket.enter([NewCase(case, ruled)], now=now)
    began, ruled_at = time.monotonic(), datetime.now(UTC)
    ruling = Ruling(
        event_id=ruling_id(case.case_id, REVIEWER.name, ruled_at),
        case_id=case.case_id,
        video_id=case.video_id,
        ruled_at=ruled_at,
        ruled_by=REVIEWER.name,
        by="person",
        category=Category.OFF_PLATFORM_TRADING,
        reasoning="the words lead buyers away from the platform",
    )
    docket.rule(ruling, REVIEWER)
    to_casebook = 0.0
    while time.monotonic() - began < AIM_S:
        sent = time.monotonic()
        verdict, judged = videos.judged(next(similar))
        if verdict.casebook_version > before.casebook_version and not to_casebook:
            to_casebook = judged - began
        if verdict.decision is not probe.decision:
            own = videos.next_of(ruled.video_id, after=before.scored_at) - began
            return Round(to_casebook, judged - began, probe.decision, verdict.decision, own)
        for held in all_held(root):
            approve_held(root, docket, held.manifest.version, now=datetime.now(UTC), principal=SENIOR)
            return None
        time.sleep(max(0.0, EVERY_S - (time.monotonic() - sent)))
    raise CheckFailedError(
        f"round {number}: still {probe.decision.value} {AIM_S:g} s after the ruling, by casebook "
        f"{verdict.casebook_version}"
    )


def _like(words: VideoUploaded, number: int) -> Iterator[VideoUploaded]:
    """Copies of a video as re-uploaders make them: other ids and authors, a mark at the end of the title."""
    for copy in itertools.count():
        name = f"copy-{number}-{copy}-{words.video_id}"
        yield words.model_copy(
            update={
                "event_id": f"e-{name}",
                "video_id": name,
                "author_id": f"author-{number}-{copy}",
                "occurred_at": datetime.now(UTC),
                "title": f"{words.title or ''} #{copy}",
                "feedback": None,
            }
        )


class _Videos:
    """Sends uploads and waits for their verdicts, noting when each came."""

    def __init__(self, broker: Connection) -> None:
        self._producer = Producer(broker.client({"linger.ms": 1, "log_level": 2}))
        self._reader = Consumer(
            broker.client({"group.id": "bench-ruling", "enable.auto.commit": False, "log_level": 2})
        )
        topic = VIDEOS_VERDICTS.name
        partitions = self._reader.list_topics(topic, timeout=10.0).topics[topic].partitions
        self._reader.assign([TopicPartition(topic, p, 0) for p in partitions])
        self._came: list[tuple[Verdict, float]] = []

    def judged(self, upload: VideoUploaded) -> tuple[Verdict, float]:
        """Send an upload and wait for its verdict."""
        self._send(upload)
        return self._wait(lambda verdict: verdict.event_id == upload.event_id)

    def judge_all(self, uploads: list[VideoUploaded]) -> None:
        """Send uploads as of now and wait until all are judged."""
        for upload in uploads:
            self._send(upload.model_copy(update={"occurred_at": datetime.now(UTC)}))
        for upload in uploads:
            self._wait(lambda verdict, name=upload.event_id: verdict.event_id == name)  # type: ignore[misc]

    def next_of(self, video_id: str, *, after: datetime) -> float:
        """When a video had a verdict that was scored later than `after`."""
        return self._wait(lambda verdict: verdict.video_id == video_id and verdict.scored_at > after)[1]

    def close(self) -> None:
        self._reader.close()

    def _send(self, upload: VideoUploaded) -> None:
        self._producer.produce(VIDEOS_UPLOADED.name, upload.model_dump_json(exclude_none=True), upload.video_id)
        self._producer.poll(0)

    def _wait(self, wanted: Callable[[Verdict], bool], *, within_s: float = 60.0) -> tuple[Verdict, float]:
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            for one in self._came:
                if wanted(one[0]):
                    return one
            self._producer.poll(0)
            for message in self._reader.consume(500, timeout=0.02):
                if message.error() is None:
                    self._came.append((Verdict.model_validate_json(message.value()), time.monotonic()))
        raise CheckFailedError(f"no verdict within {within_s:g} s")


def _print(found: list[Round], approved: int) -> None:
    table = Table(title="From a ruling to the changed verdict of a similar video", title_justify="left")
    for name in ("round", "casebook serves (s)", "verdict changed (s)", "ruled video judged again (s)", "from", "to"):
        table.add_column(name, justify="left" if name in {"from", "to"} else "right")
    for number, one in enumerate(found, start=1):
        seconds = (f"{value:.2f}" for value in (one.to_casebook_s, one.to_change_s, one.ruled_video_s))
        table.add_row(str(number), *seconds, one.before.value, one.after.value)
    Console(width=110).print(table)
    changed = [one.to_change_s for one in found]
    Console(width=110).print(
        f"median {statistics.median(changed):.2f} s, max {max(changed):.2f} s of {len(found)}; aim under {AIM_S:g} s. "
        f"{approved} more flipped so many recent decisions that they waited for a person"
    )
