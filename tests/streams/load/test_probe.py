"""The probe on a clock of its own: it looks from the intended time on, and notes when it read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streams.load.probe import AFTER_S, LOOK_EVERY_S, probe
from tests.streams.load.ledgers import ledger


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, LOOK_EVERY_S)


def test_it_notes_the_first_look_at_which_features_are_readable(tmp_path: Path):
    made, clock = ledger(tmp_path, "t u0 t p"), Clock()
    readable_from = {"run-00000000": 100.5, "run-00000002": 105.0}

    def read(ids: Sequence[str]) -> npt.NDArray[np.float64]:
        return np.array([1.0 if clock.now >= readable_from[one] else 0.0 for one in ids])

    assert probe(made, read, per_s=1.0, stopped=lambda: False, clock=clock, sleep=clock.sleep) == 2
    late = made.rows["readable_s"][[0, 2]] - np.array([100.5, 105.0])
    assert ((late >= 0) & (late <= 2 * LOOK_EVERY_S)).all()
    assert np.isnan(made.rows["readable_s"][[1, 3]]).all()


def test_it_gives_up_on_what_never_becomes_readable(tmp_path: Path):
    made, clock = ledger(tmp_path, "t t"), Clock()
    assert (
        probe(made, lambda ids: np.zeros(len(ids)), per_s=1.0, stopped=lambda: False, clock=clock, sleep=clock.sleep)
        == 0
    )
    assert 101.0 + AFTER_S < clock.now < 102.0 + AFTER_S


def test_it_ends_when_it_is_told_to(tmp_path: Path):
    made, clock = ledger(tmp_path, "t"), Clock()
    assert (
        probe(made, lambda ids: np.ones(len(ids)), per_s=1.0, stopped=lambda: True, clock=clock, sleep=clock.sleep) == 0
    )
