"""Whatever bytes come: each codec and parser reads them, or refuses them by an error of the domain and no other."""

import contextlib
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ab_tests.experiments import read_experiments
from bench.fuzz.mutations import mutated
from contracts.dead_letters import MAX_KEPT_BYTES, DeadLetter, DeadReason
from contracts.errors import BadInputError, first_reason
from contracts.kuaimod import read_kuaimod
from contracts.lines import read_lines
from contracts.preferences import read_preferences
from contracts.reasoning import Unparsed, enveloped, parse
from contracts.releases import Release, ReleasePointer
from contracts.topics import TOPICS
from contracts.videos import VideoUploaded
from contracts.viewers import UserReport
from policy.docket.principals import NotAllowedError, Tokens
from policy.growth.calls.ask import Said
from policy.growth.grow.parsing import parse as parse_types
from policy.growth.samples.questions import read_questions
from policy.growth.samples.referee import read_scores
from policy.growth.samples.strike import read_strike
from policy.growth.taxonomy.folder import read_taxonomy, write_taxonomy
from policy.growth.taxonomy.seeds import SEEDS, read_seeds
from policy.reasoning.pairwise import parse_preference
from serving.preprocess.media import MediaError, resolve_media
from serving.releases import POINTER, ReleasesRoot, read_manifest
from tests.streams.events import Raw, upload
from tests.streams.test_moderation import moderated
from warehouse.address import parse_address
from warehouse.owner.errors import ClickHouseError
from warehouse.owner.wire.bodies import read_form
from warehouse.owner.wire.requests import read_request
from warehouse.owner.wire.statements import read_statement

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
MANY = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROOT = Path(__file__).parents[1]
UPLOAD = json.dumps(upload("x", title="第一 title", feedback={"impressions": 9, "reports": 1})).encode()
KUAIMOD = json.dumps({"tag": "正向", "title": "a", "OCR": "null", "ASR": "b", "images": [], "pid": "p1"}).encode()
EXPERIMENTS = (ROOT / "deploy" / "experiments.toml").read_bytes()
STATEMENT = b'INSERT INTO t (a, b) SETTINGS x = 1 FORMAT JSONEachRow\n{"a": 1}'
FORM = b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT 1\r\n--b--\r\n'


ODD = (b"9" * 5_000, b"[" * 3_000, b"\0", b"\xff", b"nan", b"1e999", b'"', b"\xed\xa0\x80")


@st.composite
def damaged(draw: st.DrawFn, valid: bytes) -> bytes:
    """A valid text with bytes changed, cut, doubled or put in; or any bytes at all."""
    data = bytearray(valid)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        width = draw(st.sampled_from((0, 1, 2, 9, 60)))
        new = draw(st.binary(max_size=6) | st.sampled_from(ODD))
        data[at : at + width] = new
    return bytes(data)


def of_text(call: Callable[[str], Any]) -> Callable[[bytes, Path], Any]:
    return lambda data, _: call(data.decode("utf-8", "surrogateescape"))


def of_file(name: str, call: Callable[[Path], Any]) -> Callable[[bytes, Path], Any]:
    def read(data: bytes, folder: Path) -> Any:
        (folder / name).write_bytes(data)
        return call(folder / name)

    return read


def told(call: Callable[[Said, int], Any]) -> Callable[[bytes, Path], Any]:
    return of_text(lambda text: call(Said(text), 3))


Reader = Callable[[bytes, Path], Any]
READERS: dict[str, tuple[Reader, bytes, tuple[type[Exception], ...]]] = {
    "reasoning": (of_text(parse), enveloped("x", "positive").encode(), ()),
    "preference": (of_text(parse_preference), enveloped("x", "1").encode(), ()),
    "types": (of_text(lambda text: parse_types(text, ("Fruit",), most_lines=9)), b"1. Red apple\n- Green\n", ()),
    "questions": (told(read_questions), b'{"samples": [{"type": 1, "question": "q?", "answer": "a"}]}', ()),
    "scores": (told(read_scores), b'{"scores": [{"sample": 1, "score": 1}]}', ()),
    "strike": (told(read_strike), b'{"fit": [1, 2]}', ()),
    "kuaimod": (of_file("k.jsonl", lambda path: list(read_kuaimod(path))), KUAIMOD, (BadInputError,)),
    "preferences": (
        of_file("p.jsonl", lambda path: list(read_preferences(path))),
        b'{"id": 1, "prompt": "p", "chosen": "a", "rejected": "b"}',
        (BadInputError,),
    ),
    "lines": (of_file("l.jsonl", lambda path: list(read_lines(path, VideoUploaded))), UPLOAD, (BadInputError,)),
    "experiments": (of_file("experiments.toml", read_experiments), EXPERIMENTS, (BadInputError,)),
    "experiments, JSON": (of_file("e.json", read_experiments), b'{"experiments": []}', (BadInputError,)),
    "release": (of_file("r.json", lambda path: read_manifest(path, Release)), b'{"version": 1}', (BadInputError,)),
    "pointer": (
        of_file(POINTER, lambda path: ReleasesRoot(path.parent).read_pointer()),
        ReleasePointer.model_validate(
            {"live": {"release_version": 1, "casebook_version": 1}, "updated_at": NOW}
        ).model_dump_json().encode(),
        (BadInputError,),
    ),
    "seeds": (of_file("seeds.txt", read_seeds), SEEDS.read_bytes()[:600], (BadInputError,)),
    "tokens": (
        of_file("tokens.json", lambda path: Tokens(path).who("a")),
        json.dumps({"tokens": [{"name": "a", "role": "reviewer", "sha256": "0" * 64}]}).encode(),
        (BadInputError, NotAllowedError),
    ),
    "statement": (lambda data, _: read_statement(data), STATEMENT, (ClickHouseError,)),
    "form": (lambda data, _: read_form("multipart/form-data; boundary=b", data), FORM, (ClickHouseError,)),
    "media address": (of_text(lambda text: resolve_media(text, [ROOT / "deploy"])), b"file:///a/b.mp4", (MediaError,)),
    "warehouse address": (of_text(parse_address), b"http://u:p@127.0.0.1:8123/db", (BadInputError,)),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_a_reader_answers_or_refuses_by_an_error_of_the_domain(name: str, tmp_path: Path) -> None:
    reader, valid, refusals = READERS[name]

    @MANY
    @given(damaged(valid))
    def reads(data: bytes) -> None:
        with contextlib.suppress(*refusals):
            reader(data, tmp_path)

    reads()


@MANY
@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=6), st.binary(max_size=40))
def test_any_parameters_of_a_request_are_read_or_refused(given_: dict[str, str], data: bytes) -> None:
    for more in ({}, {"session_timeout": "nan"}, {"compress": "1"}, {"param_a": "1", "query": "SELECT 1"}):
        try:
            asked = read_request({}, given_, more, [], query_id="q")
        except ClickHouseError:
            continue
        assert asked.session_timeout_s >= 0


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_an_event_of_any_topic_is_read_or_refused_by_its_contract(topic: Any) -> None:
    @MANY
    @given(damaged(UPLOAD))
    def reads(data: bytes) -> None:
        try:
            event = topic.event.model_validate_json(data)
        except ValidationError as refused:
            reason = first_reason(refused)
        else:
            reason = ""
            assert topic.event.model_validate_json(event.model_dump_json()) == event
        assert "\n" not in reason

    reads()


@MANY
@given(st.randoms(use_true_random=False))
def test_a_mutated_upload_is_judged_or_its_letter_holds_its_bytes(rng: random.Random) -> None:
    _, value = mutated(UPLOAD, UPLOAD, rng)
    found = moderated(Raw(value))
    assert len(found.verdicts) + len(found.dead) == 1
    for letter in found.dead:
        assert letter.reason is not DeadReason.UNEXPECTED
        assert DeadLetter.model_validate_json(letter.model_dump_json()) == letter
        assert letter.raw == (value or b"")[:MAX_KEPT_BYTES]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
IDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.:\-]{0,20}\Z")
TIMES = st.timedeltas(timedelta(days=-9_000), timedelta(days=9_000)).map(lambda since: NOW + since)
UPLOADS = st.builds(
    VideoUploaded,
    event_id=IDS,
    video_id=IDS,
    author_id=IDS,
    occurred_at=TIMES,
    title=TEXT,
    ocr=st.none(),
    asr=TEXT,
    media_url=st.none(),
    picture_count=st.integers(0, 9) | st.none(),
    feedback=st.none(),
)
REPORTS = st.builds(
    UserReport, event_id=IDS, video_id=IDS, reporter_id=IDS, reported_at=TIMES, surface=st.just("recommend")
)


@MANY
@given(UPLOADS)
def test_an_upload_survives_its_codec(event: VideoUploaded) -> None:
    assert VideoUploaded.model_validate_json(event.model_dump_json()) == event
    assert VideoUploaded.model_validate_json(event.model_dump_json(exclude_none=True)) == event


@MANY
@given(REPORTS)
def test_a_report_survives_its_codec(event: UserReport) -> None:
    assert TypeAdapter(UserReport).validate_json(event.model_dump_json()) == event


@MANY
@given(st.binary(max_size=300), st.binary(max_size=30) | st.none(), TEXT, TEXT, st.sampled_from(list(DeadReason)))
def test_a_dead_letter_survives_its_codec(raw: bytes, key: bytes | None, place: str, text: str, reason: Any) -> None:
    letter = DeadLetter.bury(
        raw,
        reason=reason,
        place=place,
        text=text,
        key=key,
        topic="t",
        partition=0,
        offset=1,
        sent_at=None,
        refused_at=NOW,
    )
    again = DeadLetter.model_validate_json(letter.model_dump_json())
    assert again == letter
    assert again.raw == raw


def test_any_damage_to_a_taxonomy_is_named_with_its_file(tmp_path: Path) -> None:
    write_taxonomy(read_seeds(SEEDS), tmp_path / "types")
    nodes = next(path for path in (tmp_path / "types").iterdir() if path.suffix == ".jsonl")
    whole = nodes.read_bytes()

    @MANY
    @given(damaged(whole[:2_000]))
    def reads(data: bytes) -> None:
        nodes.write_bytes(data + whole[2_000:])
        if data == whole[:2_000]:
            return
        with pytest.raises(BadInputError, match=nodes.name):
            read_taxonomy(tmp_path / "types")

    reads()


@MANY
@given(st.text(max_size=200))
def test_a_reasoning_is_one_or_says_by_which_rule_it_is_none(text: str) -> None:
    found = parse(text)
    assert isinstance(found, Unparsed)
    assert str(found)
