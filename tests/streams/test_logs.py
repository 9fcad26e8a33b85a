"""Records of the log in, lines out: text for a person, one JSON object a line for a machine, fields and all."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from contracts.errors import BadInputError, DependencyError
from contracts.verdicts import Verdict
from streams.kafka.delivery import OutgoingRecord
from streams.watching.letters import LetterLog
from streams.watching.logs import JsonLines, LogContext, log_to_stderr
from streams.worker.carry import Carrier
from streams.worker.metrics import WorkerMetrics
from streams.worker.patience import Outlets
from tests.streams.events import NOW, Raw, raw
from tests.streams.stand_ins import POLICY, StandInScorer, stand_in_parts
from tests.streams.test_candidate import TRIED, ScorerOfTwo, parts_with


class Lines(logging.Handler):
    """Keeps what a JSON log would print, read again."""

    def __init__(self, context: LogContext) -> None:
        super().__init__()
        self.setFormatter(JsonLines(context))
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))

    def one(self, words: str) -> dict[str, Any]:
        [line] = [line for line in self.lines if words in line["message"]]
        return line


@pytest.fixture
def lines() -> Any:
    context = LogContext("worker")
    context.follow(lambda: {"release": 7, "casebook": 3})
    handler = Lines(context)
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


class Kept:
    """Features and topics that keep all they are given, after as many failures as they are told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.records: list[OutgoingRecord] = []

    async def write(self, verdicts: Sequence[Verdict]) -> None:
        if self.failures:
            self.failures -= 1
            raise DependencyError("the online store is away")

    async def send(self, records: Sequence[OutgoingRecord]) -> None:
        self.records += records


def carry(batch: Sequence[Raw], kept: Kept, *, ours: Callable[[], bool] = lambda: True, **changes: Any) -> bool:
    settings = {"parts": stand_in_parts(StandInScorer()), "policy": lambda: POLICY} | changes
    carrier = Carrier(settings["parts"], Outlets(kept, kept), settings["policy"], WorkerMetrics(), now=lambda: NOW)
    return asyncio.run(carrier.carry(batch, ours))


def test_a_line_is_one_object_with_time_level_logger_message_part_release_and_its_fields():
    context = LogContext("worker")
    record = logging.LogRecord("streams.x", logging.ERROR, "f.py", 1, "waited %d s\nfor it", (3,), None)
    record.created, record.video_id, record.part = 1_763_900_000.25, "v-1", "not the part"
    context.follow(lambda: {"release": 7})
    text = JsonLines(context).format(record)
    assert "\n" not in text
    assert json.loads(text) == {
        "time": "2025-11-23T12:13:20.250+00:00",
        "level": "ERROR",
        "logger": "streams.x",
        "message": "waited 3 s\nfor it",
        "part": "worker",
        "release": 7,
        "video_id": "v-1",
    }


def test_a_release_that_changes_while_the_part_runs_is_the_new_one_in_the_next_line():
    release = 1
    context = LogContext("worker")
    context.follow(lambda: {"release": release})
    formatter, record = JsonLines(context), logging.makeLogRecord({"msg": "hello"})
    assert json.loads(formatter.format(record))["release"] == 1
    release = 2
    assert json.loads(formatter.format(record))["release"] == 2


def test_what_was_raised_is_in_the_line_with_its_place():
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError:
        record = logging.makeLogRecord({"msg": "broke", "exc_info": sys.exc_info()})
    assert "ZeroDivisionError: by nothing" in json.loads(JsonLines(LogContext("clerk")).format(record))["exception"]


def test_a_dead_letter_says_where_it_lay_and_which_video_it_was(lines: Lines):
    old = raw("late", offset=41, occurred_at="1999-01-01T00:00:00Z")
    assert carry([old, Raw(b'{"event_id": "<script>", "video_id": 3}', 42), Raw(b"\xff", 43)], Kept())
    late = lines.one("@41")
    assert {name: late[name] for name in ("topic", "partition", "offset", "dead_topic", "reason", "place")} == {
        "topic": "videos.uploaded",
        "partition": 1,
        "offset": 41,
        "dead_topic": "videos.uploaded.dead",
        "reason": "clock",
        "place": "occurred_at",
    }
    assert (late["event_id"], late["video_id"]) == ("e-late", "v-late")
    assert (late["part"], late["release"], late["casebook"], late["level"]) == ("worker", 7, 3, "WARNING")
    assert "event_id" not in lines.one("@42")
    assert "video_id" not in lines.one("@42")
    assert lines.one("@43")["reason"] == "invalid_utf8"


def test_a_flood_of_letters_is_a_few_lines_a_second_and_a_count(lines: Lines):
    clock = [0.2]
    letters: list[Any] = []
    kept = Kept()
    carry([Raw(b"{", offset) for offset in range(25)], kept)
    assert len([line for line in lines.lines if "reason" in line]) == 10
    assert lines.one("15 more events")["reasons"] == {"invalid_json": 15}
    assert len(kept.records) == 25

    from contracts.dead_letters import DeadLetter

    letters = [DeadLetter.model_validate_json(record.value) for record in kept.records]
    lines.lines.clear()
    told = LetterLog(at_most=2, clock=lambda: clock[0])
    told.tell(letters[:1])
    told.tell(letters[1:4])
    clock[0] = 1.1
    told.tell(letters[4:6])
    assert [line.get("offset") for line in lines.lines] == [0, 1, None, 4, 5]


def test_an_alert_of_patience_says_what_waits_for_what_and_for_how_long(lines: Lines):
    assert carry([raw("a", offset=5), raw("b", offset=6)], Kept(failures=1))
    alert = lines.one("ALERT waiting for features")
    assert (alert["waits_for"], alert["waited_s"], alert["events"]) == ("features", 0.0, 2)
    assert alert["offsets"] == {"videos.uploaded/1": [5, 6]}
    back = lines.one("features is back")
    assert back["waits_for"] == "features"
    assert back["waited_s"] >= 0.1


def test_a_batch_that_is_let_go_says_which_it_was(lines: Lines):
    batch = [raw(name, offset=offset) for offset, name in enumerate("abc", 5)]
    for one, name in zip(batch, "abc", strict=True):
        one.key = f"v-{name}".encode()
    assert not carry(batch, Kept(failures=10**9), ours=lambda: False)
    gone = lines.one("let go of 3 events")
    assert gone["offsets"] == {"videos.uploaded/1": [5, 7]}
    assert gone["video_ids"] == ["v-a", "v-b", "v-c"]


def test_a_candidate_that_does_not_answer_is_named_with_the_videos_that_go_without(lines: Lines):
    parts = parts_with(ScorerOfTwo(fails=DependencyError("away")))
    assert carry([raw("a"), raw("b")], Kept(), parts=parts, policy=lambda: TRIED)
    alert = lines.one("go without candidate")
    assert (alert["candidate_release"], alert["candidate_casebook"], alert["events"]) == (2, 3, 2)
    assert alert["video_ids"] == ["v-a", "v-b"]


@pytest.mark.parametrize(
    ("form", "begins"), [({}, "20"), ({"PRECEDENT_LOG": "json"}, '{"time": "20')], ids=["text", "json"]
)
def test_a_process_logs_as_its_environment_says_and_a_person_s_text_stays_as_it_was(form: dict[str, str], begins: str):
    program = (
        "import logging, os; from streams.watching.logs import log_to_stderr; log_to_stderr('sink', os.environ);"
        "logging.getLogger('x').warning('a %s', 'word', extra={'video_id': 'v1'}); logging.getLogger('x').info('no')"
    )
    done = subprocess.run([sys.executable, "-c", program], env=form, capture_output=True, text=True, check=True)
    [line] = done.stderr.splitlines()
    assert line.startswith(begins)
    if form:
        assert json.loads(line) | {"time": ""} == {
            "time": "",
            "level": "WARNING",
            "logger": "x",
            "message": "a word",
            "part": "sink",
            "video_id": "v1",
        }
    else:
        assert line.endswith(" WARNING x a word")


def test_a_form_that_is_none_is_refused():
    with pytest.raises(BadInputError, match="PRECEDENT_LOG == 'yaml', must be text or json"):
        log_to_stderr("sink", {"PRECEDENT_LOG": "yaml"})
