"""The README as a newcomer reads it: what it tells to type is understood, what it names is there."""

import re
import shlex
from pathlib import Path

import pytest

from cli import COMMANDS
from tests.test_commands import ALL

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
TYPED = [
    match.group(1)
    for block in re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if (match := re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*precedent (.*)", line))
]


@pytest.mark.parametrize("line", TYPED)
def test_what_it_tells_to_type_is_understood(line: str) -> None:
    words = shlex.split(line)
    depth = next(i for i in range(len(words), 0, -1) if tuple(words[:i]) in ALL)
    ALL[tuple(words[:depth])].make_context(" ".join(words[:depth]), words[depth:])


def test_it_tells_something_to_type() -> None:
    assert {line.split()[0] for line in TYPED} >= {"simulate", "policy", "broker", "triton", "worker", "sink"}
    assert {line.split()[0] for line in TYPED} <= set(COMMANDS)


def test_every_folder_of_the_map_is_there_and_every_room_is_on_the_map() -> None:
    named = set(re.findall(r"^\| `([a-z_]+)/` \|", TEXT, re.MULTILINE))
    assert {name for name in named if not (ROOT / name).is_dir()} == set()
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} <= named


def test_its_targets_are_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", TEXT)) <= targets
