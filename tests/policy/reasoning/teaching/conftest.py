"""A teacher on loopback, and cases to be taught."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.policy.reasoning.teaching.cases import Room
from tests.policy.reasoning.teaching.teacher import Teacher, teacher_on_loopback


@pytest.fixture
def teacher() -> Iterator[Teacher]:
    with teacher_on_loopback() as teacher:
        yield teacher


@pytest.fixture
def room(teacher: Teacher, tmp_path: Path) -> Room:
    return Room(teacher, tmp_path)
