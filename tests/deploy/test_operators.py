"""The page for operators, held against what it speaks of: variables, alerts, commands, and what it says was tried."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
import yaml

import cli
from bench.stand_in import point_to, publish_casebook, random_casebook, write_release
from contracts.releases import Pin
from features.config import FeaturesConfig
from features.steady import SteadySettings
from policy.docket.docket import Docket
from policy.docket.principals import Role, Tokens
from serving.releases import ReleasesRoot
from streams.kafka.connection import DEFAULT_BROKER, DEFAULT_MECHANISM
from streams.settings import StreamSettings
from tests.deploy.rendering import KUBERNETES, ROOT, Strict, documents
from tests.deploy.test_against_the_code import read_by_the_code
from tests.deploy.test_kubernetes import example_secrets
from tests.policy.docket.cases import ANN, FRAUD, NOW, new_case, ruling
from tests.test_commands import ALL

TEXT = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:<!-- tried: (\w+) -->\n)?```(?:sh)?\n(.*?)```", TEXT, re.DOTALL)
ROWS = re.findall(r"^\| `(PRECEDENT_[A-Z_]+)` \|([^|]*)\|", TEXT, re.MULTILINE)


def test_it_says_first_what_never_ran() -> None:
    first = TEXT.split("\n\n")[1]
    assert first.startswith("**What has never been run.**")
    for never in ("image", "compose", "manifest", "ClickHouse", "GPUs", "KEDA", "onnxruntime"):
        assert never in first


def test_the_table_has_every_variable_that_the_code_reads_once_and_no_other() -> None:
    named = [name for name, _ in ROWS]
    assert len(set(named)) == len(named)
    files = {name for name in read_by_the_code() if name.endswith("_FILE")}
    assert set(named) == read_by_the_code() - files
    for name in files:
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{name.removesuffix('_FILE')}` |"))
        assert "`_FILE`" in row, row


def test_the_table_gives_the_defaults_that_the_settings_have() -> None:
    said = {name: default.strip(" `") for name, default in ROWS}
    for field in ("triton", "releases", "media_roots", "group"):
        assert said[f"PRECEDENT_{field.upper()}"] == str(StreamSettings.model_fields[field].default), field
    assert said["PRECEDENT_BROKER"] == DEFAULT_BROKER
    assert said["PRECEDENT_KAFKA_MECHANISM"] == DEFAULT_MECHANISM
    steady = SteadySettings()
    for field in ("deadline_s", "failures", "pause_s"):
        assert said[f"PRECEDENT_LOOKUP_{field.upper()}"] == str(getattr(steady, field))
    assert FeaturesConfig().online.startswith("sqlite:///.state/")
    assert said["PRECEDENT_ONLINE_STORE"] == "SQLite under `.state"


def test_every_alert_has_its_section_under_the_name_that_its_runbook_links_to() -> None:
    (alerts,) = documents(ROOT / "deploy" / "prometheus" / "alerts.yml")
    rules = [rule for group in alerts["groups"] for rule in group["rules"] if "alert" in rule]
    part = TEXT[TEXT.index("## What to do per alert") : TEXT.index("## Capacity and cost")]
    headings = re.findall(r"^### (.+)$", part, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for rule in rules:
        kebab = re.sub(r"(?<!^)(?=[A-Z])", "-", rule["alert"]).lower()
        assert rule["annotations"]["runbook"] == f"docs/operators.md#{kebab}"
    assert anchors == {rule["annotations"]["runbook"].partition("#")[2] for rule in rules}


def test_every_link_within_the_page_finds_its_heading() -> None:
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([a-z-]+)\)", TEXT)) <= anchors
    for path in re.findall(r"`((?:deploy|docs)/[\w./-]+)`", TEXT):
        assert (ROOT / path).exists(), path


def commands() -> list[str]:
    """What an operator is told to type: in blocks, also inside containers, and in the running text."""
    text = "\n".join(block for _, block in BLOCKS).replace("\\\n", " ")
    typed = re.findall(r"^(?:.* -- )?precedent ([a-z].*?)(?: \|.*)?$", text, re.MULTILINE)
    inline = re.findall(r"`precedent ([^`]+)`", " ".join(TEXT.split()))
    return sorted({*typed, *inline})


@pytest.mark.parametrize("line", commands())
def test_every_command_is_one_that_the_program_takes(line: str) -> None:
    words = [re.sub(r"^[A-Z]$", "7", word) for word in shlex.split(line)]
    if tuple(words) in ALL:
        return  # named, not told to be typed as it is
    parse(cli.precedent, "precedent", words)


def parse(command: click.Command, name: str, words: list[str], parent: click.Context | None = None) -> None:
    """Parse a command line to its end; raises what a user would be told."""
    context = command.make_context(name, words, parent=parent)
    if isinstance(command, click.Group) and (left := [*context._protected_args, *context.args]):
        called, found, left = command.resolve_command(context, left)
        assert called is not None
        assert found is not None
        parse(found, called, left, context)


def test_a_command_that_is_none_is_refused() -> None:
    for line in (
        "policy roll",
        "court --docket /docket issue ann --roles reviewer",
        "topics declare --partitions many",
    ):
        with pytest.raises(click.UsageError):
            parse(cli.precedent, "precedent", shlex.split(line))


def test_the_secrets_that_it_tells_to_make_are_those_that_the_manifests_take() -> None:
    (block,) = [text for _, text in BLOCKS if "create secret generic" in text]
    told = dict(
        one.split(":") for one in re.findall(r"[a-z-]+:[a-z_,]+", block.partition("; do")[0].partition("for secret")[2])
    )
    assert {name: set(keys.split(",")) for name, keys in told.items()} == {
        name: set(keys) for name, keys in example_secrets().items()
    }
    assert all((KUBERNETES / "overlays" / one).is_dir() for one in re.findall(r"overlays/(\w+)", TEXT))


def tried(name: str, folder: Path, **variables: object) -> "subprocess.CompletedProcess[str]":
    """A block of the page, as it stands there, in a shell whose `precedent` is this one."""
    (script,) = [block for tag, block in BLOCKS if tag == name]
    beside = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{beside}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment |= {key: str(value) for key, value in variables.items()}
    return subprocess.run(
        ["sh", "-c", script], check=False, capture_output=True, text=True, timeout=600, env=environment, cwd=folder
    )


def test_the_alerts_become_an_object_of_the_prometheus_operator(tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\ncat\n", encoding="utf-8")
    (tmp_path / "kubectl").chmod(0o755)
    done = tried("rules", ROOT, PATH=f"{tmp_path}:{os.environ['PATH']}")
    rules = yaml.load(done.stdout, Loader=Strict)
    assert (rules["kind"], rules["metadata"]) == ("PrometheusRule", {"name": "precedent"})
    (alerts,) = documents(ROOT / "deploy" / "prometheus" / "alerts.yml")
    assert rules["spec"] == alerts


@contextmanager
def in_use(docket: Path) -> Iterator[None]:
    """Cases are entered and ruled on, one after the other, while the block runs."""
    stop, entered = threading.Event(), threading.Event()

    def work() -> None:
        register = Docket(docket)
        for i in range(5_000):
            if stop.is_set():
                break
            register.enter([new_case(f"c-{i}", video=f"v-{i}", shade=i % 200)], now=NOW)
            register.rule(ruling(f"c-{i}", FRAUD, video=f"v-{i}"), ANN)
            entered.set()
        register.close()

    clerk = threading.Thread(target=work)
    clerk.start()
    try:
        assert entered.wait(60)
        yield
    finally:
        stop.set()
        clerk.join()


def test_docket_taxonomy_and_releases_are_backed_up_in_use_and_restored_elsewhere_as_it_says(tmp_path: Path) -> None:
    docket, releases = tmp_path / "docket", tmp_path / "releases"
    given = {"PRECEDENT_DOCKET": docket, "PRECEDENT_TAXONOMY": docket / "taxonomy", "PRECEDENT_RELEASES": releases}
    given["PRECEDENT_TAXONOMY"].mkdir(parents=True)
    (given["PRECEDENT_TAXONOMY"] / "decisions.jsonl").write_text("accepted\n", encoding="utf-8")
    write_release(releases, 1, random_casebook(10))
    publish_casebook(releases, 2, random_casebook(12))
    point_to(releases, Pin(release_version=1, casebook_version=2))
    token = Tokens(docket / "tokens.json").issue("sue", Role.SENIOR)
    with in_use(docket):
        done = tried("backup", tmp_path, BACKUPS=tmp_path / "b", **given)
    assert done.returncode == 0, done.stderr
    said, place = done.stdout.splitlines()
    noted = json.loads(said)["audit"]

    there = {name: tmp_path / "new" / path.relative_to(tmp_path) for name, path in given.items()}
    restored = tried("restore", tmp_path, FROM=place, NOTED=noted, PRECEDENT_TOKEN=token, **there)
    assert restored.returncode == 0, restored.stderr
    assert f"verified, the last digest is {noted}" in restored.stdout
    root = ReleasesRoot(there["PRECEDENT_RELEASES"])
    folder, casebook = root.open_pin(root.read_pointer().live)
    assert folder.release.version == 1
    assert casebook.is_file()
    assert (there["PRECEDENT_TAXONOMY"] / "decisions.jsonl").read_text(encoding="utf-8") == "accepted\n"
    register = Docket(there["PRECEDENT_DOCKET"])
    cases = register.listed(waiting=None, at_most=10_000)
    assert len(cases) == json.loads(said)["cases"] >= 1
    digest = cases[0].opened.evidence.frames_digest
    assert digest is not None
    assert register.frames(digest).shape == (2, 8, 8, 3)
    register.enter([new_case("c-new", video="v-new")], now=NOW)
    assert register.verify_audit(noted=noted) != noted
    register.close()

    wrong = tried("restore", tmp_path, FROM=place, NOTED="0" * 63 + "1", PRECEDENT_TOKEN=token, **there)
    assert "the audit was cut or replaced" in wrong.stderr
    (aside,) = [path for path in there["PRECEDENT_DOCKET"].glob("before-*") if any(path.iterdir())]
    replaced = Docket(aside)
    assert replaced.known(["c-new"]) == {"c-new"}, "what a restore replaces is put aside"
    replaced.close()
