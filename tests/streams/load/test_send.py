"""What a sender notes of the verdicts that it reads, without a broker."""

from pathlib import Path

from contracts.topics import VIDEOS_VERDICTS
from simulation.uploads import text_uploads
from streams.kafka.connection import Connection
from streams.load.events import Encoder
from streams.load.ledger import Ledger
from streams.load.plan import LoadPlan
from streams.load.send import Sending, _Sender


class Verdict:
    """A record of the topic of verdicts."""

    def __init__(self, event_id: str) -> None:
        self.event_id = event_id

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return VIDEOS_VERDICTS.name

    def value(self) -> bytes:
        return b'{"event_id":"%b"}' % self.event_id.encode()

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000


class Reading:
    """Verdicts that come in two lots, of which the load's last event was settled before."""

    def __init__(self, *lots: list[Verdict]) -> None:
        self.lots = list(lots)

    def consume(self, at_most: int, timeout: float) -> list[Verdict]:
        return self.lots.pop(0) if self.lots else []


def sending(folder: Path, count: int) -> _Sender:
    made = Ledger.create(folder, LoadPlan("run", count, rate=1.0))
    encode = Encoder(made.plan, made.drawn, list(text_uploads(1, seed=9)))
    return _Sender(made, encode, Sending(Connection("127.0.0.1:1")), lambda _: None)


def test_what_comes_after_the_last_event_is_settled_is_noted_too(tmp_path: Path):
    sender = sending(tmp_path, 2)
    sender._hear_out(Reading([Verdict("run-00000000")], [], [Verdict("run-00000001")]))
    assert Ledger.open(tmp_path).rows["last_place"].tolist() == [0, 1]


def test_the_first_and_the_last_verdict_of_an_event_are_noted_each_in_its_place(tmp_path: Path):
    sender = sending(tmp_path, 2)

    settles = [sender._note_verdict(number, 10.0 + n, 1.0 + n) for n, number in enumerate((0, 1, 0))]

    assert settles == [True, True, False]
    rows = Ledger.open(tmp_path).rows
    assert [rows[name].tolist() for name in ("verdicts", "place", "last_place")] == [[2, 1], [0, 1], [2, 1]]
    assert (rows["seen_s"].tolist(), rows["produced_s"].tolist()) == ([10.0, 11.0], [1.0, 2.0])
