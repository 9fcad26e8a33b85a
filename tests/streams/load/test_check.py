"""What the checker finds, by hand: each fault alone in a ledger that is sound otherwise."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pytest

from streams.load.check import Findings, Rows, check_features, check_rows, check_topics, settled_rows
from streams.load.ledger import Ledger
from tests.streams.load.ledgers import ledger, name


def found(findings: Findings) -> dict[str, int]:
    return {key: value for key, value in asdict(findings).items() if value and key != "examples"}


def test_a_sound_ledger_has_no_findings(tmp_path: Path):
    assert found(check_topics(ledger(tmp_path, "t m u0 l0 r0 p v0"))) == {}


def test_a_confirmed_event_without_verdict_and_letter_is_lost(tmp_path: Path):
    made = ledger(tmp_path, "t t p p")
    made.rows["verdicts"][1] = made.rows["letters"][3] = 0
    findings = check_topics(made)
    assert found(findings) == {"lost": 2}
    assert findings.examples["lost"] == name(1, 3)


def test_what_the_broker_never_confirmed_is_not_lost_but_unconfirmed(tmp_path: Path):
    made = ledger(tmp_path, "t t")
    made.rows["verdicts"][1] = 0
    made.rows["confirmed_s"][1] = np.nan
    assert found(check_topics(made)) == {"unconfirmed": 1}


def test_an_event_sent_thrice_may_have_three_verdicts_and_the_fourth_is_a_repeat(tmp_path: Path):
    made = ledger(tmp_path, "t r0 r0")
    made.rows["verdicts"][0] = 3
    assert found(check_topics(made)) == {}
    made.rows["verdicts"][0] = 4
    assert found(check_topics(made)) == {"repeated_verdicts": 1}


def test_a_version_whose_verdict_came_before_that_of_an_earlier_version_is_reordered(tmp_path: Path):
    made = ledger(tmp_path, "t t u0 u1 l0")
    made.rows["place"][[0, 2, 4]] = [5, 7, 6]
    findings = check_topics(made)
    assert found(findings) == {"reordered": 1}
    assert findings.examples["reordered"] == name(4)


def test_an_older_version_whose_verdict_came_once_more_after_all_of_a_newer_one_is_found(tmp_path: Path):
    made = ledger(tmp_path, "t u0 t u2")
    made.rows["verdicts"][:] = [2, 1, 2, 2]
    made.rows["last_place"][:] = [4, 1, 5, 6]  # 0 1 2 3 0 2 3: what is delivered once more comes with what follows it
    findings = check_topics(made)
    assert findings.reordered == 1
    assert findings.examples["reordered"] == name(1)


def test_a_version_that_was_sent_again_may_have_the_last_word(tmp_path: Path):
    made = ledger(tmp_path, "t u0 r0")
    made.rows["verdicts"][0], made.rows["last_place"][0] = 2, 2
    assert found(check_topics(made)) == {}


def test_videos_may_overtake_each_other(tmp_path: Path):
    made = ledger(tmp_path, "t t t")
    made.rows["place"][:] = made.rows["last_place"][:] = [2, 1, 0]
    assert found(check_topics(made)) == {}


@pytest.mark.parametrize(
    ("events", "column", "number"),
    [("t p", "verdicts", 1), ("t p", "wrong_reasons", 1), ("t t", "letters", 1), ("t m", "letters", 1)],
    ids=["poison was judged", "poison was refused for another reason", "a text was refused", "a film was refused"],
)
def test_letters_of_sound_events_and_verdicts_of_poison_are_wrong(
    tmp_path: Path, events: str, column: str, number: int
):
    made = ledger(tmp_path, events)
    made.rows[column][number] = 1
    assert found(check_topics(made))["wrong_letters"] == 1


def test_features_must_be_there_and_of_the_newest_version(tmp_path: Path):
    made = ledger(tmp_path, "t t t u0 l1 u0")
    have = {"run-00000000": 105, "run-00000001": 101, "run-00000002": 102}

    def features(changes: dict[str, int]) -> Findings:
        findings = Findings()
        kept = have | changes
        check_features(made, lambda ids: np.array([kept[one] * 1_000_000 for one in ids]), findings, chunk=2)
        return findings

    assert found(features({})) == {}
    assert features({"run-00000000": 103}).examples == {"stale_features": name(0)}
    assert features({"run-00000001": -3_496}).examples == {"stale_features": name(1)}  # the late version's time
    assert features({"run-00000002": 0}).examples == {"missing_features": name(2)}


@dataclass
class Kept:
    """A warehouse's answer: every event of a ledger once, but for what is changed."""

    made: Ledger
    events: str
    changes: dict[str, dict[str, int]] = field(default_factory=dict)
    asked: int = 0

    def _rows(self, table: str, kinds: str) -> Rows:
        rows = {name(n)[0]: 1 for n, word in enumerate(self.events.split()) if word[0] in kinds}
        rows |= self.changes.get(table, {})
        rows = {key: n for key, n in rows.items() if n}
        return Rows(rows, sum(rows.values()))

    def verdicts(self) -> Rows:
        self.asked += 1
        return self._rows("verdicts", "tmul")

    def uploads(self) -> Rows:
        return self._rows("uploads", "tmul")

    def reports(self) -> Rows:
        return self._rows("reports", "v")

    def reports_by_video(self) -> dict[str, int]:
        sums: dict[str, int] = {}
        for word in self.events.split():
            if word[0] == "v":
                video = name(int(word[1:]))[0]
                sums[video] = sums.get(video, 0) + 1
        return {key: n for key, n in (sums | self.changes.get("sums", {})).items() if n}


@pytest.mark.parametrize(
    ("table", "row", "n", "finding"),
    [
        ("verdicts", 0, 0, {"missing_rows": 1}),
        ("uploads", 2, 0, {"missing_rows": 1}),
        ("reports", 3, 0, {"missing_rows": 1}),
        ("verdicts", 1, 2, {"repeated_rows": 1}),
        ("verdicts", 6, 1, {"wrong_sums": 1}),
        ("sums", 0, 1, {"wrong_sums": 1}),
        ("sums", 1, 1, {"wrong_sums": 1}),
    ],
)
def test_rows_must_be_there_once_and_daily_sums_must_add_up(
    tmp_path: Path, table: str, row: int, n: int, finding: dict[str, int]
):
    events = "t t u0 v0 v0 r1 p"
    made = ledger(tmp_path, events)
    sound, broken = Findings(), Findings()
    check_rows(made, Kept(made, events), sound)
    assert found(sound) == {}
    check_rows(made, Kept(made, events, {table: {name(row)[0]: n}}), broken)
    assert found(broken) == finding


def test_rows_that_are_still_on_their_way_are_waited_for(tmp_path: Path):
    events = "t t"
    made = ledger(tmp_path, events)
    kept = Kept(made, events, {"verdicts": {name(1)[0]: 0}})
    findings = Findings()

    def sleep(_: float) -> None:
        kept.changes = {}

    settled_rows(made, kept, findings, within_s=5.0, clock=lambda: 0.0, sleep=sleep)
    assert (found(findings), kept.asked) == ({}, 2)


def test_rows_that_do_not_come_in_time_are_missing(tmp_path: Path):
    events = "t t"
    made = ledger(tmp_path, events)
    times = iter([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    findings = Findings()
    settled_rows(
        made,
        Kept(made, events, {"verdicts": {name(1)[0]: 0}}),
        findings,
        within_s=3.0,
        clock=lambda: next(times),
        sleep=lambda _: None,
    )
    assert findings.examples == {"missing_rows": name(1)}
