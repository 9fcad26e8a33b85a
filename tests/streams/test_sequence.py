"""Every record of a partition in its turn: what comes again is left out, what comes too soon is gone back for."""

import random

import pytest

from streams.kafka.sequence import RecordSequence, Turn


def test_records_in_order_are_delivered_and_what_comes_again_is_left_out():
    sequence = RecordSequence[str]()
    sequence.begins({"p": 7})

    assert [sequence.turn("p", offset) for offset in (7, 8, 8, 7, 9)] == [
        Turn.NEXT, Turn.NEXT, Turn.LATE, Turn.LATE, Turn.NEXT,
    ]  # fmt: skip


def test_what_is_not_between_two_records_of_one_fetch_is_not_there():
    sequence = RecordSequence[str]()
    sequence.begins({"p": 7})

    assert sequence.turn("p", 7) is Turn.NEXT
    assert sequence.turn("p", 9, follows=True) is Turn.NEXT
    assert sequence.turn("p", 8) is Turn.LATE
    assert sequence.turn("p", 11) is Turn.EARLY


def test_what_comes_too_soon_is_gone_back_for_and_a_record_that_is_missing_then_too_is_not_there():
    sequence = RecordSequence[str]()
    sequence.begins({"p": 7})
    assert sequence.turn("p", 9) is Turn.EARLY
    assert sequence.go_back("p") == 7
    assert sequence.turn("p", 7) is Turn.NEXT  # it was there

    assert sequence.turn("p", 10) is Turn.EARLY
    assert sequence.go_back("p") == 8
    assert sequence.turn("p", 10) is Turn.NEXT  # 8 and 9 are not
    assert sequence.turn("p", 11) is Turn.NEXT
    assert sequence.turn("p", 13) is Turn.EARLY  # each gap is asked for by itself


def test_a_partition_that_was_let_go_is_nobody_s_until_it_begins_again():
    sequence = RecordSequence[str]()
    assert sequence.turn("p", 0) is Turn.NOBODYS
    sequence.begins({"p": 7, "q": 3})
    assert sequence.turn("p", 9) is Turn.EARLY
    sequence.go_back("p")
    sequence.ends(["p"])

    assert sequence.turn("p", 7) is Turn.NOBODYS
    assert sequence.go_back("p") is None
    assert sequence.turn("q", 3) is Turn.NEXT
    sequence.begins({"p": 7})
    assert sequence.turn("p", 9) is Turn.EARLY  # what was asked again before does not count


class Partition:
    """A log with offsets that are not there; a fetch brings a few records, and of some only the last ones arrive."""

    def __init__(self, offsets: list[int], rng: random.Random) -> None:
        self.offsets, self.rng, self.position, self.went_back = offsets, rng, 0, False

    def go_back(self, offset: int) -> None:
        self.position, self.went_back = offset, True

    def fetch(self) -> list[int]:
        batch = [offset for offset in self.offsets if offset >= self.position][: self.rng.randint(1, 6)]
        if batch:
            self.position = batch[-1] + 1
        lost = 0 if self.went_back else self.rng.choice((0, 0, 1, len(batch)))
        self.went_back = False
        return batch[lost:]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_lost_between_the_fetch_and_the_turn_every_record_is_delivered_once_in_order(seed: int):
    rng = random.Random(seed)
    there = [0, *sorted(rng.sample(range(1, 200), 120)), 200]
    log, sequence, delivered = Partition(there, rng), RecordSequence[str](), list[int]()
    sequence.begins({"p": 0})
    while 200 not in delivered:
        for offset in log.fetch() or [there[-1]] * (log.position > 200):  # what comes last tells of what came before
            turn = sequence.turn("p", offset)
            if turn is Turn.NEXT:
                delivered.append(offset)
            elif turn is Turn.EARLY:
                log.go_back(sequence.go_back("p") or 0)
                break

    assert delivered == there
