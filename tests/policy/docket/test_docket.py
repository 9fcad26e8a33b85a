"""The register: what enters stays, what is ruled is in force, what is changed from outside is found."""

import shutil
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from contracts.cases import CaseReason
from contracts.errors import BadInputError, CheckFailedError
from policy.docket.docket import Docket, NewCase
from policy.docket.principals import CLERK, NotAllowedError
from policy.docket.rules import AppealRefusedError, RulingRefusedError, UnknownCaseError
from tests.policy.docket.cases import (
    ANN,
    BOB,
    FRAUD,
    GOOD,
    NOW,
    PLATFORM,
    SUE,
    VLM,
    appealed,
    new_case,
    ruling,
)


@pytest.fixture
def docket(tmp_path: Path) -> Docket:
    opened = Docket(tmp_path / "docket", clock=lambda: NOW)
    opened.enter([new_case("c-1")], now=NOW)
    return opened


def test_a_case_enters_once_with_its_evidence_frozen(docket: Docket) -> None:
    assert docket.enter([new_case("c-1", title="another"), new_case("c-2", video="v-2")], now=NOW) == ["c-2"]
    file = docket.file("c-1")
    assert (file.upload.title, file.waiting, file.ruling) == ("a title", True, None)
    assert file.opened.evidence is not None
    assert file.opened.evidence.frames_digest is not None
    assert np.array_equal(docket.frames(file.opened.evidence.frames_digest), np.full((2, 8, 8, 3), 7, np.uint8))
    assert docket.known(["c-1", "c-2", "c-3"]) == {"c-1", "c-2"}
    assert [entry.topic for entry in docket.outbox(at_most=9)] == ["cases.opened", "cases.opened"]
    with pytest.raises(UnknownCaseError, match="case_id == 'c-3' is not on the docket"):
        docket.file("c-3")


def test_a_case_of_parts_that_are_not_of_one_another_is_refused_whole(docket: Docket) -> None:
    other = NewCase(new_case("c-2").opened, new_case("c-3", video="v-2").upload)
    with pytest.raises(BadInputError, match=r"case c-2: video_id == 'v-1', its upload's is 'v-2'"):
        docket.enter([new_case("c-4", video="v-4"), other], now=NOW)
    assert docket.known(["c-2", "c-4"]) == set()
    flat = NewCase(new_case("c-2").opened, new_case("c-2").upload, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(BadInputError, match=r"shape \(8, 8, 3\), must be uint8 \[f, S, S, 3\]"):
        docket.enter([flat], now=NOW)


def test_frames_that_were_changed_are_not_shown(docket: Docket) -> None:
    (place,) = (docket.folder / "frames").iterdir()
    docket.enter([new_case("c-2", video="v-2", shade=8)], now=NOW)
    (other,) = set((docket.folder / "frames").iterdir()) - {place}
    shutil.copy(other, place)
    with pytest.raises(
        BadInputError, match=f"{place.name}: digest is sha256:{other.stem}, must be sha256:{place.stem}"
    ):
        docket.frames(f"sha256:{place.stem}")
    place.write_bytes(b"cut short")
    with pytest.raises(BadInputError, match=f"{place.name}: cannot be read as frames"):
        docket.frames(f"sha256:{place.stem}")


def test_the_most_harmful_case_waits_first_and_a_ruled_one_not_at_all(docket: Docket) -> None:
    docket.enter([new_case("c-2", video="v-2"), new_case("c-3", video="v-3", reason=CaseReason.AUDIT)], now=NOW)
    docket.weigh({"c-1": 1.0, "c-2": 9.0, "c-3": 5.0}, now=NOW)
    assert [file.opened.case_id for file in docket.waiting()] == ["c-2", "c-3", "c-1"]
    assert [file.opened.case_id for file in docket.waiting(at_most=1)] == ["c-2"]
    docket.rule(ruling("c-2", FRAUD, video="v-2"), ANN)
    assert [file.opened.case_id for file in docket.waiting()] == ["c-3", "c-1"]
    assert [file.opened.case_id for file in docket.listed(reason=CaseReason.AUDIT)] == ["c-3"]
    assert docket.depth() == (2, NOW, 4)
    with pytest.raises(BadInputError, match="case c-1: expected harm == nan, must be 0 or more"):
        docket.weigh({"c-1": float("nan")}, now=NOW)
    with pytest.raises(UnknownCaseError, match="'c-9' is not on the docket"):
        docket.weigh({"c-9": 1.0}, now=NOW)


def test_overruling_keeps_history_and_says_what_fell(docket: Docket) -> None:
    first = docket.rule(ruling("c-1", FRAUD), ANN).ruling
    assert first is not None
    second = docket.rule(ruling("c-1", GOOD, SUE, minute=2, overrules=first), SUE)
    assert second.ruling is not None
    assert (second.ruling.category, second.overruled, second.waiting) == (GOOD, (first,), False)
    ((sequence, in_force, opened, upload, *_),) = docket.decided()
    assert (sequence, in_force, opened.case_id, upload.video_id) == (2, second.ruling, "c-1", "v-1")
    assert docket.decided(after=2) == []
    assert docket.overruled_since(0) == [(2, first, second.ruling)]
    assert docket.overruled_since(2) == []
    restored = docket.rule(ruling("c-1", FRAUD, SUE, minute=3, overrules=second.ruling), SUE)
    assert restored.overruled == (first, second.ruling)
    with pytest.raises(RulingRefusedError, match="was overruled already, in force is"):
        docket.rule(ruling("c-1", GOOD, SUE, minute=4, overrules=first), SUE)


def test_the_same_ruling_again_changes_nothing_whatever_its_id(docket: Docket) -> None:
    said = ruling("c-1", FRAUD)
    file = docket.rule(said, ANN)
    assert docket.rule(said, ANN) == docket.rule(ruling("c-1", FRAUD, minute=5), ANN) == file
    assert len(list(docket.audit())) == 2
    assert len(docket.outbox(at_most=9)) == 2


def test_an_id_that_another_ruling_has_is_refused(docket: Docket) -> None:
    docket.enter([new_case("c-2", video="v-2")], now=NOW)
    said = docket.rule(ruling("c-1", FRAUD), ANN).ruling
    assert said is not None
    with pytest.raises(RulingRefusedError, match=f"event_id == '{said.event_id}' is that of another ruling, on c-1"):
        docket.rule(ruling("c-2", FRAUD, video="v-2").model_copy(update={"event_id": said.event_id}), ANN)


def test_a_refusal_leaves_a_trace_in_the_audit_and_nothing_else(docket: Docket) -> None:
    docket.rule(ruling("c-1", FRAUD), ANN)
    with pytest.raises(RulingRefusedError, match="falls by a senior alone"):
        docket.rule(ruling("c-1", GOOD, BOB, minute=2, overrules=ruling("c-1", FRAUD)), BOB)
    with pytest.raises(NotAllowedError, match="platform is platform, to rule one must be"):
        docket.rule(ruling("c-1", GOOD, PLATFORM, minute=2), PLATFORM)
    assert [(entry.action, entry.who) for entry in docket.audit()] == [
        ("open", "clerk"),
        ("rule", "ann"),
        ("refused", "bob"),
    ]
    assert [one.ruling.category for one in docket.decided()] == [FRAUD]


def test_an_adjudicator_may_rule_but_never_overrule(docket: Docket) -> None:
    said = docket.rule(ruling("c-1", FRAUD, VLM), VLM).ruling
    with pytest.raises(NotAllowedError, match="vlm is adjudicator, to overrule one must be reviewer, senior"):
        docket.rule(ruling("c-1", GOOD, VLM, minute=2, overrules=said), VLM)
    assert docket.rule(ruling("c-1", GOOD, BOB, minute=2, overrules=said), BOB).ruling is not None


def test_a_ruling_answers_every_case_on_its_video_but_an_appeal(docket: Docket) -> None:
    docket.enter([new_case("c-2"), new_case("c-3", reason=CaseReason.APPEAL)], now=NOW)
    docket.rule(ruling("c-1", FRAUD), ANN)
    assert [file.opened.case_id for file in docket.waiting()] == ["c-3"]
    docket.enter([new_case("c-4")], now=NOW)
    assert not docket.file("c-4").waiting
    affirmed = docket.rule(ruling("c-3", FRAUD, BOB, minute=2), BOB)
    assert affirmed.ruling is not None
    assert (affirmed.ruling.ruled_by, len(affirmed.affirmed), affirmed.overruled) == ("bob", 1, ())
    assert docket.waiting() == []
    assert [one.opened.case_id for one in docket.decided()] == ["c-3"]


def test_an_appeal_is_heard_by_the_next_case_for_appeals_or_joins_one_that_waits(docket: Docket) -> None:
    docket.appeal(appealed("e-1"), PLATFORM)
    docket.appeal(appealed("e-1"), PLATFORM)
    assert [appeal.event_id for appeal in docket.unheard()] == ["e-1"]
    docket.enter([new_case("c-2", reason=CaseReason.APPEAL)], now=NOW)
    assert docket.unheard() == []
    docket.appeal(appealed("e-2", statement="once more"), CLERK)
    assert docket.unheard() == []
    assert [appeal.event_id for appeal in docket.file("c-1").appeals] == ["e-1", "e-2"]
    appeals = [entry.value for entry in docket.outbox(at_most=9) if entry.topic == "cases.appeals"]
    assert len(appeals) == 1, "what the clerk heard on the topic is not announced there again"


def test_an_appeal_that_opens_no_case_is_dismissed_with_a_reason(docket: Docket) -> None:
    docket.appeal(appealed("e-1", video="v-9"), PLATFORM)
    docket.dismiss("e-1", "the video was deleted", now=NOW)
    docket.dismiss("e-1", "again", now=NOW)
    assert docket.unheard() == []
    assert [entry.action for entry in docket.audit()] == ["open", "appeal", "dismiss"]


def test_appeals_by_others_than_the_author_and_without_end_are_refused(docket: Docket) -> None:
    with pytest.raises(AppealRefusedError, match="author_id == 'a-2' is not the author of the video 'v-1'"):
        docket.appeal(appealed("e-1", author="a-2"), PLATFORM)
    with pytest.raises(NotAllowedError, match="ann is reviewer, to appeal one must be clerk, platform"):
        docket.appeal(appealed("e-1"), ANN)
    for number in range(10):
        docket.appeal(appealed(f"e-{number}"), PLATFORM)
    with pytest.raises(AppealRefusedError, match="v-1 was appealed 10 times, must be fewer than 10"):
        docket.appeal(appealed("e-10"), PLATFORM)
    with pytest.raises(AppealRefusedError, match="event_id == 'e-1' is that of another appeal"):
        docket.appeal(appealed("e-1", statement="other words"), PLATFORM)


def test_what_was_announced_leaves_the_outbox(docket: Docket) -> None:
    docket.rule(ruling("c-1", FRAUD), ANN)
    first, second = docket.outbox(at_most=9)
    assert (first.topic, second.topic, second.key) == ("cases.opened", "cases.rulings", "v-1")
    docket.sent([first.sequence])
    assert docket.outbox(at_most=9) == [second]


def test_erasing_an_author_leaves_the_ruling_without_a_precedent(docket: Docket) -> None:
    docket.enter([new_case("c-2", video="v-2", author="a-2", shade=7)], now=NOW)
    docket.enter([new_case("c-3", video="v-3", author="a-1", shade=3)], now=NOW)
    docket.rule(ruling("c-1", FRAUD), ANN)
    docket.appeal(appealed("e-1", statement="my words"), PLATFORM)
    with pytest.raises(NotAllowedError, match="to erase one must be senior"):
        docket.erase_author("a-1", ANN, now=NOW)
    erased = docket.erase_author("a-1", SUE, now=NOW)
    assert (erased.cases, erased.appeals, len(erased.frames)) == (("c-1", "c-3"), ("e-1",), 1)
    file = docket.file("c-1")
    assert (file.upload.author_id, file.upload.title, file.appeals[0].statement) == ("erased", "", "")
    assert file.ruling is not None
    assert docket.decided() == []
    assert docket.erased() == {"c-1", "c-3"}
    assert [one.opened.case_id for one in docket.waiting()] == ["c-2"]
    assert len(list((docket.folder / "frames").iterdir())) == 1, "frames that another case shows stay"
    docket.verify_audit()
    docket.close()
    kept = b"".join(path.read_bytes() for path in docket.folder.iterdir() if path.is_file())
    assert b"my words" not in kept
    assert b'"a-1"' not in kept


def test_the_audit_finds_what_was_changed_behind_its_back(docket: Docket) -> None:
    docket.rule(ruling("c-1", FRAUD, reasoning="fraud"), ANN)
    noted = docket.verify_audit()
    docket.rule(ruling("c-1", GOOD, SUE, minute=2, overrules=ruling("c-1", FRAUD)), SUE)
    assert docket.verify_audit(noted=noted) != noted
    with pytest.raises(CheckFailedError, match="digest 00 was noted and is in no audit entry"):
        docket.verify_audit(noted="00")
    db = sqlite3.connect(docket.folder / "docket.db", isolation_level=None)
    for statement, said in (
        ("UPDATE audit SET who = 'bob'", "the audit is never changed"),
        ("DELETE FROM audit", "the audit is never deleted"),
        ("UPDATE rulings SET ruling = ''", "a ruling is never changed"),
        ("DELETE FROM rulings", "a ruling is never deleted"),
        ("UPDATE cases SET opened = ''", "the evidence of a case is frozen"),
        ("UPDATE cases SET upload = ''", "the evidence of a case is frozen"),
        ("DELETE FROM cases", "a case is never deleted"),
    ):
        with pytest.raises(sqlite3.IntegrityError, match=said):
            db.execute(statement)
    db.execute("DROP TRIGGER rulings_stay")
    db.execute("""UPDATE rulings SET ruling = replace(ruling, '"fraud"', '"other"')""")
    with pytest.raises(CheckFailedError, match=r"ruling ruling-[0-9a-f]{16} has digest [0-9a-f]{64}, was audited as"):
        docket.verify_audit()
    db.execute("DROP TRIGGER audit_stays")
    db.execute("UPDATE audit SET who = 'bob' WHERE sequence = 2")
    with pytest.raises(
        CheckFailedError, match=r"audit entry 2 \(rule ruling-.* by bob\): digest == .*: it was changed"
    ):
        docket.verify_audit()
    db.execute("DROP TRIGGER audit_remains")
    db.execute("DELETE FROM audit WHERE sequence = 2")
    with pytest.raises(CheckFailedError, match=r"audit entry 3 .*: sequence must be 2, entries are missing before it"):
        docket.verify_audit()


def test_every_tenth_ruling_is_the_audits_whatever_harm_waits(docket: Docket) -> None:
    harmful = [new_case(f"h-{n}", video=f"v-h-{n}") for n in range(20)]
    drawn = [new_case(f"d-{n}", video=f"v-d-{n}", reason=CaseReason.AUDIT) for n in range(2)]
    docket.enter([*harmful, *drawn], now=NOW)
    docket.weigh({"c-1": 0.0, **{f"h-{n}": 20.0 - n for n in range(20)}, "d-0": 0.5, "d-1": 0.25}, now=NOW)
    first = [f"h-{n}" for n in range(9)]
    assert [file.opened.case_id for file in docket.waiting(at_most=10)] == [*first, "d-0"]
    for n in range(9):
        docket.rule(ruling(f"h-{n}", FRAUD, video=f"v-h-{n}"), ANN)
    assert [file.opened.case_id for file in docket.waiting(at_most=2)] == ["d-0", "h-9"], "whoever asks, when it is due"
    docket.rule(ruling("d-0", GOOD, video="v-d-0"), ANN)
    assert [f.opened.case_id for f in docket.waiting()] == [
        *(f"h-{n}" for n in range(9, 18)),
        "d-1",
        "h-18",
        "h-19",
        "c-1",
    ]


def test_of_the_audit_speaks_what_was_drawn_before_all_that_waits(docket: Docket) -> None:
    hours = [NOW - timedelta(hours=3 - n) for n in range(3)]
    cases = [new_case(f"d-{n}", video=f"v-d-{n}", reason=CaseReason.AUDIT) for n in range(3)]
    for case, at in zip(cases, hours, strict=True):
        docket.enter([replace(case, opened=case.opened.model_copy(update={"opened_at": at}))], now=at)
    docket.rule(ruling("d-2", FRAUD, video="v-d-2"), ANN)
    docket.rule(ruling("d-0", GOOD, video="v-d-0"), ANN)
    assert [(one.ruling.case_id, one.audited) for one in docket.decided()] == [("d-2", 0.0), ("d-0", 1.0)]
    docket.rule(ruling("d-1", GOOD, video="v-d-1"), ANN)
    assert [one.audited for one in docket.decided()] == [1.0, 1.0, 1.0]


def test_a_docket_written_before_every_case_told_of_the_audit_is_read(docket: Docket) -> None:
    docket.enter([new_case("c-2", video="v-2", reason=CaseReason.AUDIT)], now=NOW)
    docket.close()
    as_it_was = "json_remove(json_set(opened, '$.selection_probability', 0.02), '$.audited')"
    with sqlite3.connect(docket.folder / "docket.db") as db:
        (trigger,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'evidence_is_frozen'").fetchone()
        for statement in (
            "DROP TRIGGER evidence_is_frozen",
            f"UPDATE cases SET opened = {as_it_was}",
            "DROP INDEX cases_audited",
            "ALTER TABLE cases DROP COLUMN audited",
            trigger.replace("audited, ", ""),
            "PRAGMA user_version = 1",
        ):
            db.execute(statement)
    db.close()
    again = Docket(docket.folder)
    assert [(file.opened.case_id, file.opened.audited) for file in again.waiting()] == [("c-1", 0.0), ("c-2", 0.02)]
    again.close()
    Docket(docket.folder).close()
    with sqlite3.connect(docket.folder / "docket.db") as db:
        assert db.execute("SELECT case_id, audited FROM cases").fetchall() == [("c-1", 0.0), ("c-2", 0.02)]
        with pytest.raises(sqlite3.IntegrityError, match="the evidence of a case is frozen"):
            db.execute("UPDATE cases SET audited = 1")
    db.close()


def test_a_docket_opens_again_as_it_was_and_another_file_is_refused(docket: Docket, tmp_path: Path) -> None:
    docket.rule(ruling("c-1", FRAUD), ANN)
    again = Docket(docket.folder)
    assert again.file("c-1") == docket.file("c-1")
    other = tmp_path / "other"
    other.mkdir()
    (other / "docket.db").write_bytes(b"no database, but long enough to be looked at as one" * 40)
    with pytest.raises(BadInputError, match=r"other/docket\.db: is not a docket: file is not a database"):
        Docket(other)
    (other / "docket.db").unlink()
    sqlite3.connect(other / "docket.db").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(BadInputError, match="user_version == 0, must be 3"):
        Docket(other)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="cannot be opened"):
        Docket(tmp_path / "file")
