"""The command line as a newcomer meets it: every command explains itself with an example that parses."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from cli import COMMANDS, precedent


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield (*path, name), command
            yield from commands(command, (*path, name))


ALL = dict(commands(precedent))


@pytest.mark.parametrize("path", sorted(ALL), ids=" ".join)
def test_every_command_has_a_sentence_and_an_example_that_parses(path: tuple[str, ...]) -> None:
    command = ALL[path]
    text = command.help or ""
    assert text.split("\n")[0].endswith("."), "the first line is a sentence"
    _, _, example = text.partition("Example:\n")
    lines = [match.group(1) for line in example.splitlines() if (match := re.search(r"(?:^|\s)precedent (.*)", line))]
    assert lines, "the help ends with a runnable example"
    for line in lines:
        words = shlex.split(line)
        depth = next(i for i in range(len(words), 0, -1) if tuple(words[:i]) in ALL)
        called = ALL[tuple(words[:depth])]
        called.make_context(" ".join(words[:depth]), words[depth:], resilient_parsing=False)


def test_the_table_of_commands_is_sorted_and_complete() -> None:
    assert list(COMMANDS) == sorted(COMMANDS)
    assert {path[0] for path in ALL} == set(COMMANDS)


def test_a_domain_error_is_one_line_and_exit_code_2() -> None:
    command = [sys.executable, "-m", "cli", "score", "--release", "/nowhere", "clip.mp4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "precedent: /nowhere: is not a release, it has no release.json\n"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("nope", "precedent: No such command 'nope'. (precedent --help)"),
        (
            "policy promote --releases pyproject.toml release-1",
            "precedent: Invalid value for '--releases': Directory 'pyproject.toml' is a file."
            " (precedent policy promote --help)",
        ),
        (
            "broker --partitions 0",
            "precedent: Invalid value for '--partitions': 0 is not in the range 1<=x<=1000. (precedent broker --help)",
        ),
        (
            "worker --metrics-port 99999",
            "precedent: Invalid value for '--metrics-port': 99999 is not in the range 0<=x<=65535."
            " (precedent worker --help)",
        ),
        (
            "sink --session-timeout 0",
            "precedent: Invalid value for '--session-timeout': 0.0 is not in the range 0.1<=x<=3600."
            " (precedent sink --help)",
        ),
        ("score --release r", "precedent: Missing argument 'FILES...'. (precedent score --help)"),
        ("policy train --cases c --out /proc/none/x", "precedent: /proc/none: No such file or directory"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(typed: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-m", "cli", *typed.split()], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said + "\n")


def test_help_and_a_group_alone_explain_themselves() -> None:
    for typed, code in ((["policy", "train", "--help"], 0), (["policy"], 2)):
        done = subprocess.run([sys.executable, "-m", "cli", *typed], capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert "Usage: precedent policy" in done.stdout + done.stderr


def test_the_schema_command_prints_json_schema_and_lists_the_events() -> None:
    done = subprocess.run([sys.executable, "-m", "cli", "schema", "VideoUploaded"], capture_output=True, check=True)
    assert b'"title": "VideoUploaded"' in done.stdout
    listed = subprocess.run([sys.executable, "-m", "cli", "schema"], capture_output=True, check=True, text=True)
    assert len(listed.stdout.splitlines()) == 9
