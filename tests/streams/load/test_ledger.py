"""A ledger on disk: shared by who writes and who checks, refused where it is none."""

from pathlib import Path

import numpy as np
import pytest

from contracts.errors import BadInputError
from streams.load.ledger import Ledger
from streams.load.plan import LoadPlan, Mix

PLAN = LoadPlan("run", 50, rate=10.0, mix=Mix.parse("text=0.8,update=0.2"))


def test_what_one_writes_the_other_reads_and_both_know_what_was_drawn(tmp_path: Path):
    writer = Ledger.create(tmp_path / "ledger", PLAN)
    reader = Ledger.open(tmp_path / "ledger")
    assert np.isnan(reader.rows["sent_s"]).all()
    writer.rows["sent_s"][7] = 12.5
    assert reader.rows["sent_s"][7] == 12.5
    assert reader.plan == PLAN
    assert (reader.drawn.speaks_of_N == writer.drawn.speaks_of_N).all()


def test_a_ledger_is_never_begun_over_another(tmp_path: Path):
    Ledger.create(tmp_path, PLAN)
    with pytest.raises(BadInputError, match="holds a ledger already"):
        Ledger.create(tmp_path, PLAN)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("plan.json", b"{"),
        ("plan.json", b'{"run": "x", "count": 50, "rate": 1, "mix": "text=1", "surprise": 1}'),
        ("plan.json", b'{"run": "run", "count": 49, "rate": 10.0, "mix": "text=1"}'),
        ("ledger.npy", b"\x93NUMPY"),
        ("ledger.npy", b""),
    ],
)
def test_a_folder_that_is_no_ledger_is_refused_by_its_name(tmp_path: Path, file: str, content: bytes):
    Ledger.create(tmp_path, PLAN)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(BadInputError, match=str(tmp_path)):
        Ledger.open(tmp_path)
