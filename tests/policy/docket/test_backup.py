"""A docket copied while others enter, rule and erase; the copy is a docket that goes on elsewhere."""

import json
import shutil
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError, CheckFailedError
from policy.commands.cases import case
from policy.docket.backup import back_up
from policy.docket.docket import Docket
from tests.policy.docket.cases import ANN, FRAUD, GOOD, NOW, SUE, new_case, ruling


def test_a_copy_holds_cases_rulings_frames_and_tokens_and_its_audit_ends_where_the_dockets_does(tmp_path: Path) -> None:
    docket = Docket(tmp_path / "docket")
    docket.enter(
        [new_case("c-1"), new_case("c-2", video="v-2", shade=9), new_case("c-3", video="v-3", shade=None)], now=NOW
    )
    docket.rule(ruling("c-1", FRAUD), ANN)
    for name in ("tokens.json", "audit.salt", ".draft", "clerk.db", "clerk.db-wal"):
        (tmp_path / "docket" / name).write_text(name, encoding="utf-8")
    done = back_up(tmp_path / "docket", tmp_path / "copy")
    assert done == (3, 1, 2, 0, docket.verify_audit())
    copied = {path.name for path in (tmp_path / "copy").iterdir()}
    assert copied == {"docket.db", "frames", "tokens.json", "audit.salt"}
    digest = docket.file("c-1").opened.evidence.frames_digest
    assert digest is not None
    restored = Docket(tmp_path / "copy")
    assert (restored.frames(digest) == docket.frames(digest)).all()
    restored.rule(ruling("c-2", GOOD, video="v-2"), ANN)
    assert restored.verify_audit(noted=done.audit) != done.audit, "the copy goes on from where it was taken"
    restored.close()
    docket.close()


def test_copies_taken_while_cases_are_entered_and_erased_are_each_of_one_moment(tmp_path: Path) -> None:
    folder, stop, entered = tmp_path / "docket", threading.Event(), list[str]()
    Docket(folder).close()

    def enter() -> None:
        docket = Docket(folder)
        for i in range(10_000):
            if stop.is_set():
                break
            name = f"c-{i}"
            docket.enter([new_case(name, video=f"v-{i}", author=f"a-{i}", shade=i % 250)], now=NOW)
            docket.rule(ruling(name, FRAUD, video=f"v-{i}"), ANN)
            if i % 5 == 4:
                docket.erase_author(f"a-{i}", SUE, now=NOW + timedelta(minutes=5))
            entered.append(name)
        docket.close()

    clerk = threading.Thread(target=enter)
    clerk.start()
    try:
        counts = list[int]()
        while len(entered) < 5:
            assert clerk.is_alive()
        for n in range(4):
            before = len(entered)
            done = back_up(folder, tmp_path / f"copy-{n}")
            assert done.cases >= before
            assert done.cases - done.rulings in {0, 1}, "a case that is entered and not ruled on yet is the last"
            counts.append(done.cases)
    finally:
        stop.set()
        clerk.join()
    assert counts == sorted(counts)


def test_a_copy_whose_register_is_not_what_was_audited_gets_no_name(tmp_path: Path) -> None:
    docket = Docket(tmp_path / "docket")
    docket.enter([new_case("c-1")], now=NOW)
    docket.close()
    with sqlite3.connect(tmp_path / "docket" / "docket.db") as db:
        db.execute("DROP TRIGGER evidence_is_frozen")
        db.execute("UPDATE cases SET opened = replace(opened, '0.9375', '0.1')")
    db.close()
    with pytest.raises(CheckFailedError, match="case c-1 has digest"):
        back_up(tmp_path / "docket", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_frames_that_are_gone_are_counted(tmp_path: Path) -> None:
    docket = Docket(tmp_path / "docket")
    docket.enter([new_case("c-1")], now=NOW)
    docket.close()
    shutil.rmtree(tmp_path / "docket" / "frames")
    (tmp_path / "docket" / "frames").mkdir()
    assert back_up(tmp_path / "docket", tmp_path / "copy").lost == 1


def test_nothing_is_written_over_and_what_is_no_docket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"has no docket\.db"):
        back_up(tmp_path, tmp_path / "copy")
    Docket(tmp_path / "docket").close()
    back_up(tmp_path / "docket", tmp_path / "copy")
    with pytest.raises(BadInputError, match="exists, a backup is never written over"):
        back_up(tmp_path / "docket", tmp_path / "copy")


def test_the_command_says_what_the_copy_holds(tmp_path: Path) -> None:
    docket = Docket(tmp_path / "docket")
    docket.enter([new_case("c-1")], now=NOW)
    docket.close()
    done = CliRunner().invoke(case, ["backup", str(tmp_path / "copy"), "--docket", str(tmp_path / "docket")])
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert (said["cases"], said["clips"], said["lost"]) == (1, 1, 0)
