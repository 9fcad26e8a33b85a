"""`precedent ab assign` as an analyst calls it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ab_tests.assignment import assign
from ab_tests.experiments import find, read_experiments

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deploy" / "experiments.toml"


def ab_assign(*arguments: str, users: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "cli", "ab", "assign", *arguments]
    return subprocess.run(command, input=users, capture_output=True, check=False, cwd=ROOT)


def test_each_user_gets_a_line_with_the_arm_that_assignment_says(tmp_path: Path) -> None:
    users = [f"user-{i}" for i in range(1_000)]
    file = tmp_path / "users.txt"
    file.write_text("\n".join(users))
    done = ab_assign("toxicity-ranking", "--users", str(file), "--experiments", str(EXAMPLE))

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    places = assign(find(read_experiments(EXAMPLE), "toxicity-ranking", place=""), users).tolist()
    names = ["relevance-only", "toxicity-aware", None]
    assert lines == [{"user_id": u, "variant": names[p]} for u, p in zip(users, places, strict=True)]
    told = f"relevance-only {places.count(0)}, toxicity-aware {places.count(1)}, outside {places.count(-1)}"
    assert done.stderr.decode() == f"toxicity-ranking: {told}\n"
    assert done.returncode == 0


def test_users_come_from_standard_input_too() -> None:
    done = ab_assign("stricter-release", users=b"user-1\r\nuser-2\n")
    assert [json.loads(line)["user_id"] for line in done.stdout.splitlines()] == ["user-1", "user-2"]


@pytest.mark.parametrize(
    ("arguments", "users", "reason"),
    [
        (("nothing",), b"", "experiment == 'nothing', must be one of toxicity-ranking, stricter-release (deploy/"),
        (("toxicity-ranking",), b"user-1\nuser 2\n", "-:2: user_id == 'user 2', must be 1 to 128 of ASCII letters"),
        (("toxicity-ranking",), b"\xff\n", "-:1: user_id == "),
        (("toxicity-ranking", "--users", "/nowhere"), b"", "/nowhere: cannot be read: No such file"),
        (("toxicity-ranking", "--experiments", "/nowhere.toml"), b"", "/nowhere.toml: is not a file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], users: bytes, reason: str) -> None:
    done = ab_assign(*arguments, users=users)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.decode().startswith(f"precedent: {reason}")
    assert done.stderr.count(b"\n") == 1
