"""Which brigades are known: found again under other members, new, forgotten; kept where only their owner reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from policy.cases.brigades import FILE, fold_brigades, note_brigades, read_brigades
from policy.cases.coordination import Brigade

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_brigade_that_loses_and_wins_members_is_the_one_that_is_known() -> None:
    first = fold_brigades((), [Brigade(("a", "b", "c", "d"), 7)], now=NOW)
    later = fold_brigades(first.known, [Brigade(("c", "d", "e", "f", "g"), 9)], now=NOW + DAY)
    assert later.new == ()
    (one,) = later.known
    assert (one.members, one.videos) == (("c", "d", "e", "f", "g"), 9)
    assert (one.first_seen_at, one.last_seen_at) == (NOW, NOW + DAY)


def test_another_brigade_is_new_and_one_that_is_not_seen_stays_for_a_while() -> None:
    first = fold_brigades((), [Brigade(("a", "b", "c"), 7)], now=NOW)
    later = fold_brigades(first.known, [Brigade(("c", "x", "y", "z"), 2)], now=NOW + DAY)
    assert [one.members for one in later.new] == [("c", "x", "y", "z")]
    assert [one.members for one in later.known] == [("c", "x", "y", "z"), ("a", "b", "c")]
    assert fold_brigades(later.known, [], now=NOW + 91 * DAY).known == later.new
    assert fold_brigades(later.known, [], now=NOW + 92 * DAY).known == ()


def test_the_list_is_kept_for_its_owner_alone_and_a_look_that_finds_the_same_tells_nothing_new(tmp_path: Path) -> None:
    found = [Brigade(("a", "b", "c"), 7)]
    assert [one.videos for one in note_brigades(tmp_path, found, now=NOW)] == [7]
    assert note_brigades(tmp_path, found, now=NOW + DAY) == ()
    (one,) = read_brigades(tmp_path)
    assert one.last_seen_at == NOW + DAY
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_list_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"brigades": [{"members": ["a"]}]}')
    with pytest.raises(BadInputError, match=r"brigades\.json: brigades\.0\.members"):
        read_brigades(tmp_path)
