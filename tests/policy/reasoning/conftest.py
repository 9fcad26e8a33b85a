"""The court of the publication tests, and a judge that believes what it reads."""

from collections.abc import Iterator

import pytest

from tests.policy.publication.conftest import court, taught
from tests.policy.reasoning.gullible import Judge, judge_on_loopback

__all__ = ["court", "taught"]


@pytest.fixture
def judge() -> Iterator[Judge]:
    with judge_on_loopback() as judge:
        yield judge
