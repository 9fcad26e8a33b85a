"""One trace from a video's upload over its verdict to its row: real spans, sent by OTLP to a receiver on loopback."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

from contracts.dead_letters import DeadLetter
from contracts.errors import BadInputError
from contracts.topics import VIDEOS_UPLOADED, VIDEOS_VERDICTS
from contracts.verdicts import Verdict
from serving.stopping import Stop
from streams.ingest.bulk import SinkConfig, run_sink
from streams.kafka.agents import AgentConfig, Agents, consume
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer
from streams.watching.traces import UNTRACED, Tracing, share_in, tracing_in
from streams.worker.carry import Carrier
from streams.worker.metrics import WorkerMetrics
from streams.worker.patience import Outlets
from tests.streams.collecting import Collector, collector
from tests.streams.events import NOW, Raw, raw
from tests.streams.stand_ins import POLICY, StandInScorer, stand_in_parts
from tests.streams.test_logs import Kept
from tests.streams.watching import event, until

TRACE, SENDER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SENDER}-01".encode()
UNSAMPLED = f"00-{TRACE}-{SENDER}-00".encode()
STAGES = ["check", "preprocess", "score", "judge", "features", "deliver"]


@dataclass(slots=True)
class Sent(Raw):
    """A record with headers."""

    headers: Sequence[tuple[str, bytes]] = ()


def sent(name: str, offset: int, *headers: tuple[str, bytes]) -> Sent:
    return Sent(raw(name).value, offset, headers=headers)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as kept:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", kept.address)
        yield kept


def traced(share: str, part: str = "worker") -> Tracing:
    return tracing_in({"PRECEDENT_TRACES": share}, part)


def carry(batch: Sequence[Raw], tracing: Tracing, kept: Kept, scorer: StandInScorer | None = None) -> bool:
    carrier = Carrier(
        stand_in_parts(scorer or StandInScorer()),
        Outlets(kept, kept),
        lambda: POLICY,
        WorkerMetrics(),
        now=lambda: datetime.now(UTC),
        tracing=tracing,
    )
    done = asyncio.run(carrier.carry(batch, lambda: True))
    tracing.close()
    return done


def attributes(span: object) -> dict[str, object]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_a_batch_has_its_stages_as_children_and_is_linked_with_the_videos_that_are_followed(receiver: Collector):
    kept = Kept()
    assert carry([sent("a", 5, ("x", b"y"), ("traceparent", SAMPLED)), sent("b", 6)], traced("1e-12"), kept)

    batch, video = receiver.one("moderate"), receiver.one("moderate one")
    assert {name for name, _ in receiver.spans} == {"precedent-worker"}
    assert (video.trace_id.hex(), video.parent_span_id.hex()) == (TRACE, SENDER)
    assert batch.parent_span_id == b""
    assert batch.trace_id != video.trace_id
    assert [(link.trace_id, link.span_id) for link in video.links] == [(batch.trace_id, batch.span_id)]
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in batch.links] == [(TRACE, SENDER)]

    stages = sorted((span for _, span in receiver.spans if span.name in STAGES), key=lambda s: s.start_time_unix_nano)
    assert [span.name for span in stages] == STAGES
    assert {(span.trace_id, span.parent_span_id) for span in stages} == {(batch.trace_id, batch.span_id)}
    moments = [m for span in stages for m in (span.start_time_unix_nano, span.end_time_unix_nano)]
    assert [batch.start_time_unix_nano, *moments, batch.end_time_unix_nano] == sorted(
        [batch.start_time_unix_nano, *moments, batch.end_time_unix_nano]
    )


def test_a_video_s_span_begins_with_its_upload_and_ends_when_its_features_are_written(receiver: Collector):
    kept = Kept()
    carry([sent("a", 5, ("traceparent", SAMPLED))], traced("1e-12"), kept)
    video, written = receiver.one("moderate one"), receiver.one("features")
    assert video.start_time_unix_nano == int(NOW.timestamp()) * 10**9
    between = receiver.one("deliver").start_time_unix_nano + 10**6
    assert written.end_time_unix_nano - 10**6 <= video.end_time_unix_nano <= between
    about = attributes(video)
    assert about["precedent.video_id"] == "v-a"
    assert about["precedent.decision"] == "allow"
    assert (about["precedent.release"], about["messaging.kafka.offset"]) == (1, 5)
    [record] = kept.records
    assert record.headers == [("traceparent", f"00-{TRACE}-{video.span_id.hex()}-01".encode())]


def test_a_sender_that_says_no_is_obeyed_and_one_that_says_nothing_is_followed_by_share(receiver: Collector):
    kept = Kept()
    broken = sent("c", 7, ("traceparent", b"00-zz-\xff-01"))
    carry([sent("a", 5, ("traceparent", UNSAMPLED)), sent("b", 6), broken], traced("1"), kept)
    videos = receiver.named("moderate one")
    assert {attributes(video)["precedent.video_id"] for video in videos} == {"v-b", "v-c"}
    assert {video.parent_span_id for video in videos} == {b""}
    assert len({video.trace_id for video in videos}) == 2
    assert [record.headers is not None for record in kept.records] == [False, True, True]


def test_a_batch_in_which_nobody_is_followed_has_no_span(receiver: Collector):
    carry([sent("a", 5, ("traceparent", UNSAMPLED)), sent("b", 6)], traced("1e-12"), Kept())
    assert receiver.spans == []


def test_a_sender_that_marks_every_video_gets_spans_of_a_few(receiver: Collector):
    carry([sent(f"n{n}", n, ("traceparent", SAMPLED)) for n in range(100)], traced("1"), Kept())
    assert len(receiver.named("moderate one")) == 32


def test_a_video_that_is_refused_after_it_was_followed_ends_with_the_batch_as_an_error(receiver: Collector):
    refused = Sent(raw("m", media_url="gone.gif").value, 5, headers=[("traceparent", SAMPLED)])
    kept = Kept()
    assert carry([refused], traced("1"), kept)
    assert DeadLetter.model_validate_json(kept.records[0].value).reason == "media"
    video = receiver.one("moderate one")
    assert (video.status.code, video.status.message) == (2, "it did not arrive with this batch")


def test_a_collector_that_is_away_costs_the_batch_nothing_and_the_end_a_moment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    kept = Kept()
    assert carry([sent("a", 5, ("traceparent", SAMPLED))], traced("1"), kept)
    assert len(kept.records) == 1


class Rows:
    """A warehouse that keeps the verdicts of one test."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def insert(self, verdicts: Sequence[Verdict]) -> int:
        self.ids += [verdict.event_id for verdict in verdicts]
        return len(verdicts)


def test_one_trace_goes_from_the_upload_s_record_through_faust_and_kafka_to_the_row(
    broker: Connection, receiver: Collector
):
    worker, sink, rows, stop = traced("1e-12"), traced("1e-12", "sink"), Rows(), Stop()
    sinking = threading.Thread(
        target=run_sink,
        args=(SinkConfig(broker, group="traced-sink", linger_s=0.1), {VIDEOS_VERDICTS: rows.insert}, stop),
        kwargs={"ready": lambda: None, "tracing": sink},
    )
    uploader = Producer({"bootstrap.servers": broker.servers, "log_level": 0})
    uploader.produce(VIDEOS_UPLOADED.name, event("traced"), b"v-traced", headers=[("traceparent", SAMPLED)])
    assert uploader.flush(10) == 0

    async def moderate() -> None:
        stopping, producer = asyncio.Event(), ConfirmedProducer(broker, client_id="traced")
        carrier = Carrier(
            stand_in_parts(StandInScorer()),
            Outlets(Kept(), producer),
            lambda: POLICY,
            WorkerMetrics(),
            now=lambda: datetime.now(UTC),
            tracing=worker,
        )
        agents = Agents(AgentConfig(broker, "traced-worker", session_timeout_s=3.0), {VIDEOS_UPLOADED: carrier.carry})
        running = asyncio.create_task(consume(agents, stopping, ready=lambda: None))
        try:
            await asyncio.to_thread(until, lambda: "e-traced" in rows.ids)
        finally:
            stopping.set()
            await running
            producer.close()

    sinking.start()
    try:
        asyncio.run(moderate())
    finally:
        stop.set()
        sinking.join()
        worker.close()
        sink.close()
    video, row = receiver.one("moderate one"), receiver.one("ingest one")
    assert (video.trace_id.hex(), video.parent_span_id.hex()) == (TRACE, SENDER)
    assert (row.trace_id.hex(), row.parent_span_id) == (TRACE, video.span_id)
    assert row.end_time_unix_nano > video.end_time_unix_nano
    assert {name for name, span in receiver.spans if span.trace_id.hex() == TRACE} == {
        "precedent-worker",
        "precedent-sink",
    }
    assert receiver.one("insert videos.verdicts").parent_span_id == receiver.one("ingest").span_id


@pytest.mark.parametrize(
    ("environ", "share"),
    [
        ({}, 0.0),
        ({"PRECEDENT_TRACES": "0"}, 0.0),
        ({"PRECEDENT_TRACES": "0.25"}, 0.25),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, 0.01),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "PRECEDENT_TRACES": "0"}, 0.0),
    ],
    ids=["nothing asked", "off", "a share", "an endpoint", "an endpoint of others"],
)
def test_traces_are_off_unless_they_are_asked_for(environ: dict[str, str], share: float):
    assert share_in(environ) == share
    if not share:
        assert tracing_in(environ, "worker") is UNTRACED


@pytest.mark.parametrize("said", ["yes", "1.5", "nan"])
def test_a_share_that_is_none_is_refused(said: str):
    with pytest.raises(BadInputError, match=f"PRECEDENT_TRACES == '{said}', must be a share"):
        share_in({"PRECEDENT_TRACES": said})


def test_what_is_off_imports_nothing_and_what_is_asked_for_names_the_packages_that_are_missing():
    program = """
import sys
import streams.worker.run, streams.ingest.bulk
from contracts.errors import BadInputError
from streams.watching.traces import tracing_in
tracing_in({}, "worker").close()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
sys.modules["opentelemetry"] = None
try:
    tracing_in({"PRECEDENT_TRACES": "0.5"}, "worker")
except BadInputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "PRECEDENT_TRACES asks for traces, which need the packages of precedent[tracing]\n"
