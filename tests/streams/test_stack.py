"""The whole path on its real embedded parts: broker, Triton, Feast's store, warehouse; what goes in comes out."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Message

from bench.stand_in import point_to, publish_casebook, random_casebook, write_release
from contracts.dead_letters import DeadLetter
from contracts.releases import Pin
from contracts.verdicts import Verdict
from features.config import FeaturesConfig
from streams.load.report import NOTHING
from streams.stack import Stack, precedent
from tests.serving.media_files import picture, write_audio_only, write_video, write_zero_frames
from tests.streams.conftest import Topics
from tests.streams.stacks import (
    DEAD,
    UPLOADED,
    VERDICTS,
    features_found,
    folder,
    rows_in_warehouse,
    running,
    stack,
    topics,
    verdict_keys,
)
from tests.streams.watching import event, metric, named, status, until

__all__ = ["folder", "stack", "topics"]


def test_every_upload_becomes_a_verdict_a_feature_and_a_row(stack: Stack, topics: Topics):
    names = [f"path-{n}" for n in range(300)]
    topics.send(UPLOADED, *(event(name, title=f"第{name}个标题", asr="你好" * 50) for name in names))

    verdicts = [Verdict.model_validate_json(m.value()) for m in topics.read(VERDICTS, 300, where=named("path"))]
    assert {v.event_id for v in verdicts} == {f"e-{name}" for name in names}
    assert {(v.release_version, v.casebook_version) for v in verdicts} == {(1, 1)}
    assert {c.case_id[:5] for v in verdicts for c in v.citations} == {"case-"}
    assert features_found(stack, [f"v-{name}" for name in names]) == 300
    until(lambda: rows_in_warehouse(stack, "e-path-") == 300)


def test_bad_events_are_dead_lettered_with_their_reason_and_the_good_ones_beside_them_pass(
    stack: Stack, topics: Topics
):
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    bad = {
        b"{": ("invalid_json", "value"),
        b'{"title": "\xff\xfe"}': ("invalid_utf8", "byte 11"),
        event("bad-missing", video_id=None): ("contract", "video_id"),
        event("bad-extra", surprise=1): ("contract", "surprise"),
        event("bad-range", picture_count=-1): ("contract", "picture_count"),
        event("bad-title", title="t" * 100_000): ("contract", "title"),
        event("bad-clock", occurred_at=ahead): ("clock", "occurred_at"),
        event("bad-media", media_url="file:///etc/passwd"): ("media", "outside_roots"),
    }
    good = [event(f"bad-good-{n}") for n in range(10)]
    for n, value in enumerate(bad):
        topics.send(UPLOADED, value, good[n], partition=1)
    topics.send(UPLOADED, None, *good[8:], good[0], partition=1)

    letters = [DeadLetter.model_validate_json(m.value()) for m in topics.read(DEAD, len(bad) + 1)]
    assert {letter.raw: (letter.reason.value, letter.place) for letter in letters} == {b"": ("empty", "value")} | bad
    assert {letter.partition for letter in letters} == {1}
    until(lambda: set(verdict_keys(topics, "bad-good")) == {f"v-bad-good-{n}".encode() for n in range(10)})
    until(lambda: sum(metric(w, "precedent_dead_letters_total") for w in running(stack)) >= len(bad) + 1)
    assert [status(w, "/live") for w in running(stack)] == [200, 200]


def test_broken_media_is_refused_by_reason_and_delays_nobody(stack: Stack, topics: Topics, folder: Path):
    media = folder / "media"
    write_video(media / "good.mp4", [picture(40 * n) for n in range(5)])
    whole = (media / "good.mp4").read_bytes()
    (media / "truncated.mp4").write_bytes(whole[: len(whole) // 3])
    (media / "empty.mp4").touch()
    write_audio_only(media / "audio.mp4")
    write_zero_frames(media / "zero.mp4")
    with (media / "huge.mp4").open("wb") as huge:
        huge.truncate(1 << 34)
    (folder / "outside.mp4").write_bytes(whole)
    broken = {
        "truncated.mp4": {"truncated", "unreadable"},
        "empty.mp4": {"empty"},
        "audio.mp4": {"no_video"},
        "zero.mp4": {"no_frames", "no_video", "unreadable"},
        "huge.mp4": {"too_many_bytes"},
        "gone.mp4": {"unreachable"},
        "../outside.mp4": {"outside_roots"},
        "https://example.test/a.mp4": {"scheme_refused"},
    }
    addresses = {name: name if "://" in name else str(media / name) for name in broken}
    topics.send(UPLOADED, *(event(f"film-{n}", media_url=url) for n, url in enumerate(addresses.values())))
    topics.send(UPLOADED, event("film-good", media_url=str(media / "good.mp4")), event("film-text"))

    def of_film(message: Message) -> bool:  # an earlier test's may come again: delivery is at least once
        return b'"v-film-' in DeadLetter.model_validate_json(message.value()).raw

    read = topics.read(DEAD, len(broken), within_s=60, where=of_film)
    letters = [DeadLetter.model_validate_json(m.value()) for m in read]
    found = {json.loads(letter.raw)["media_url"]: letter.place for letter in letters}
    assert all(found[addresses[name]] in reasons for name, reasons in broken.items()), found
    verdicts = [Verdict.model_validate_json(m.value()) for m in topics.read(VERDICTS, 2, where=named("film"))]
    assert {v.video_id: "frames" in v.missing for v in verdicts} == {"v-film-good": False, "v-film-text": True}


def test_an_older_version_that_comes_late_has_a_verdict_but_not_the_features(stack: Stack, topics: Topics):
    from features.lookup import lookup
    from features.store import open_store

    now = datetime.now(UTC).replace(microsecond=0)
    newer, older = event("late", occurred_at=now.isoformat()), (now - timedelta(minutes=5)).isoformat()
    topics.send(UPLOADED, newer, event("late", event_id="e-late-old", occurred_at=older), key=b"k")

    topics.read(VERDICTS, 2, where=named("late"))
    store = open_store(FeaturesConfig.from_environment(stack.environment))
    assert lookup(store, ["v-late"], now).occurred_us_N[0] == int(now.timestamp()) * 1_000_000


def test_workers_follow_the_pointer_to_a_new_casebook_and_back_without_a_restart(
    stack: Stack, topics: Topics, folder: Path
):
    root = folder / "releases"
    publish_casebook(root, 2, random_casebook(60, prefix="later"))

    def judged_by(version: int) -> bool:
        name = f"pin-{version}-{datetime.now(UTC).timestamp():.6f}"
        topics.send(UPLOADED, event(name))
        [verdict] = topics.read(VERDICTS, 1, where=named(name))
        return Verdict.model_validate_json(verdict.value()).casebook_version == version

    def all_judge_by(version: int) -> bool:
        return all(judged_by(version) for _ in range(10))  # each worker follows in its own time

    try:
        point_to(root, Pin(release_version=1, casebook_version=2))
        until(lambda: all_judge_by(2), within_s=60)
        point_to(root, Pin(release_version=99, casebook_version=99))  # there is none: what is, goes on
        assert all_judge_by(2)
    finally:
        point_to(root, Pin(release_version=1, casebook_version=1))
    until(lambda: all_judge_by(1), within_s=60)


def test_while_the_pointer_names_a_canary_verdicts_features_and_rows_carry_its_decision_too(
    stack: Stack, topics: Topics, folder: Path
):
    from features.lookup import lookup
    from features.store import open_store
    from warehouse.address import connect, parse_address

    root, live = folder / "releases", Pin(release_version=1, casebook_version=1)
    canary = write_release(root, 5, random_casebook(40, prefix="canary"))

    def judged(what: str) -> list[Verdict]:
        name = f"{what}-{datetime.now(UTC).timestamp():.6f}"
        topics.send(UPLOADED, *(event(f"{name}-{n}", title=f"一个标题 {n}") for n in range(20)))
        messages = topics.read(VERDICTS, 20, where=named(name))
        return [Verdict.model_validate_json(message.value()) for message in messages]

    def all_carry(version: int | None) -> bool:
        return all(v.candidate_release_version == version for _ in range(3) for v in judged("try"))

    try:
        point_to(root, live, canary=canary)
        until(lambda: all_carry(5), within_s=60)
        both = judged("both")
    finally:
        point_to(root, live)
    assert {(v.release_version, v.casebook_version) for v in both} == {(1, 1)}
    assert all(v.candidate is not None and v.candidate.toxicity != v.toxicity for v in both)

    store = open_store(FeaturesConfig.from_environment(stack.environment))
    found = lookup(store, [v.video_id for v in both], datetime.now(UTC))
    assert found.candidate_release_version_N.tolist() == [5] * 20
    assert found.candidate_toxicity_N.tolist() == pytest.approx([v.candidate_toxicity for v in both], abs=1e-6)

    asked = "SELECT countIf(candidate.release_version = 5) FROM verdicts FINAL WHERE event_id IN {ids:Array(String)}"
    client = connect(parse_address(stack.warehouse or ""))
    ids = [v.event_id for v in both]
    until(lambda: client.query(asked, {"ids": ids}).first_row[0] == 20)
    client.close()
    until(lambda: all_carry(None), within_s=60)


def test_a_load_finds_each_of_its_events_again(stack: Stack, tmp_path: Path):
    mix = "text=0.8,update=0.06,late=0.04,repeat=0.03,poison=0.03,report=0.04"
    run = ("load", "run", "--rate", "200", "--count", "800", "--warm-up", "100", "--mix", mix, "--report", "json")
    done = subprocess.run(
        precedent(*run, "--out", str(tmp_path / "ledger")),
        env={**os.environ, **stack.environment},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    kinds = report["by_kind"]
    assert report["sent"] == sum(kinds.values()) == 800
    assert report["verdicts"] == kinds["text"] + kinds["update"] + kinds["late"]
    assert report["letters"] == kinds["poison"] > 0
    assert {name: report[name] for name in NOTHING} == dict.fromkeys(NOTHING, 0)
    assert 0 < report["feature_latency_ms"]["p50"] <= report["verdict_latency_ms"]["p50"]
    assert report["readable_ms"]["n"] > 0
    assert report["crossed"] == []


def test_a_load_that_crosses_a_limit_exits_with_1_and_says_which(stack: Stack, tmp_path: Path):
    done = subprocess.run(
        precedent("load", "run", "--rate", "200", "--count", "100", "--max-p95-ms", "0.01", "--probe", "0", "--out",
                  str(tmp_path / "ledger")),
        env={**os.environ, **stack.environment}, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "feature latency p95 ==" in done.stderr
    assert "must be at most 0.01 ms" in done.stderr
