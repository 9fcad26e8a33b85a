"""Answers that were paid are there after any end, a line each, and only for the work that they are of."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from policy.growth.calls.ask import Said
from policy.growth.calls.journal import Journal

ONE = Said("你好\n</think>", None, 12, 3)
TWO = Said("", "answers 400 Bad Request")


def test_answers_are_found_again_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, "work") as journal:
        journal.add("llm/a/1", ONE)
        journal.add("referee-2/a.0/3", TWO)
    with Journal(path, "work") as journal:
        assert journal.answers == {"llm/a/1": ONE, "referee-2/a.0/3": TWO}


@pytest.mark.parametrize("cut", [1, 2, 20, 1_000])
def test_a_half_line_goes_and_what_comes_next_stands_on_a_line_of_its_own(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, "work") as journal:
        journal.add("llm/a/1", ONE)
        whole = path.read_bytes()
        journal.add("llm/b/1", Said("x" * 2_000))
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, "work") as journal:
        assert journal.answers == {"llm/a/1": ONE}
        assert path.read_bytes() == whole
        journal.add("llm/c/1", TWO)
    with Journal(path, "work") as journal:
        assert journal.answers == {"llm/a/1": ONE, "llm/c/1": TWO}


@pytest.mark.parametrize("left", [0, 1, 7])
def test_a_journal_that_was_killed_at_its_first_line_begins_anew(tmp_path: Path, left: int) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"of":"work"}'[:left])
    with Journal(path, "work") as journal:
        journal.add("llm/a/1", ONE)
    with Journal(path, "work") as journal:
        assert journal.answers == {"llm/a/1": ONE}


def test_answers_to_other_work_are_refused_and_stay(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, "work") as journal:
        journal.add("llm/a/1", ONE)
    before = path.read_bytes()
    with pytest.raises(BadInputError, match=r"journal\.jsonl: is of work, must be of another; take another folder"):
        Journal(path, "another")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (b'["llm/a/1","so",null,1,1]\n', 1),
        (b'{"of":"work"}\n{"half": \n["llm/a/1","so",null,1,1]\n', 2),
        (b'{"of":"work"}\n["llm/a/1","so",null,1]\n', 2),
        (b'{"of":"work"}\n["llm/a/1","so",null,1,1]\n["llm/b/1","so",null,"many",1]\n', 3),
        (b'{"of":"work"}\n[["llm/a/1"],"so",null,1,1]\n', 2),
        (b"\x00\x00\n", 1),
    ],
)
def test_damage_before_the_end_is_an_error_with_its_line(tmp_path: Path, lines: bytes, number: int) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(lines)
    with pytest.raises(BadInputError, match=rf"journal\.jsonl:{number}: is not an answer that was kept"):
        Journal(path, "work")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process may be longer: what a full disk does to a line, half of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("room", "said"), [(9, "an answer was written by half"), (0, "File too large")])
def test_after_a_line_that_could_not_be_written_no_other_follows_it(tmp_path: Path, room: int, said: str) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, "work") as journal:
        journal.add("llm/a/1", ONE)
        whole = path.read_bytes()
        with room_for(len(whole) + room), pytest.raises(OSError, match=said) as raised:
            journal.add("llm/b/1", TWO)
        assert raised.value.filename == str(path)
        with pytest.raises(OSError, match=said):
            journal.add("llm/c/1", TWO)
        assert len(path.read_bytes()) == len(whole) + room
    with Journal(path, "work") as journal:
        assert journal.answers == {"llm/a/1": ONE}
        assert path.read_bytes() == whole


def test_a_journal_that_cannot_begin_is_an_error_and_holds_no_file(tmp_path: Path) -> None:
    with room_for(5), pytest.raises(OSError, match="an answer was written by half"):
        Journal(tmp_path / "journal.jsonl", "work")
    with Journal(tmp_path / "journal.jsonl", "work") as journal:
        assert journal.answers == {}
