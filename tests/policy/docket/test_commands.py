"""`precedent case` and `precedent court issue`, as they are typed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError
from policy.commands.cases import case
from policy.commands.court import court
from policy.docket.docket import Docket
from policy.docket.principals import NotAllowedError
from tests.policy.docket.cases import NOW, new_case


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docket = Docket(tmp_path / "docket")
    docket.enter([new_case("c-1", title="gold\x1b[2J\nfor all"), new_case("c-2", video="v-2")], now=NOW)
    docket.close()
    return docket.folder


def run(folder: Path, typed: list[str], *, token: str = "") -> str:
    command = court if typed[0] == "court" else case
    done = CliRunner().invoke(
        command, typed[1:], env={"PRECEDENT_DOCKET": str(folder), "PRECEDENT_TOKEN": token}, catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.output


def test_a_case_is_listed_ruled_and_overruled_by_those_who_may(folder: Path) -> None:
    tokens = {
        name: run(folder, ["court", "issue", name, "--role", role]).strip()
        for name, role in (("ann", "reviewer"), ("sue", "senior"), ("site", "platform"))
    }
    assert (folder / "tokens.json").stat().st_mode & 0o077 == 0
    assert tokens["ann"] not in (folder / "tokens.json").read_text()
    head, first, _, tail = run(folder, ["case", "list"], token=tokens["ann"]).splitlines()
    assert head.split() == ["harm", "reason", "toxicity", "found", "ruled", "case", "title"]
    assert first.split()[1:6] == ["uncertain", "0.938", "false_benefits", "-", "c-1"]
    assert first.endswith(r"gold\x1b[2J\nfor all")
    assert tail == "2 of 2 waiting cases"
    said = run(folder, ["case", "rule", "c-1", "--category", "false_benefits"], token=tokens["ann"])
    first_ruling = said.split()[0]
    assert said.endswith("v-1 is false_benefits\n")
    assert run(folder, ["case", "rule", "c-1", "--category", "false_benefits"], token=tokens["ann"]) == said
    overruled = run(folder, ["case", "overrule", "c-1", "--category", "positive"], token=tokens["sue"])
    assert overruled.endswith(f"v-1 is positive, {first_ruling} fell\n")
    shown = json.loads(run(folder, ["case", "show", "c-1", "--json"], token=tokens["sue"]))
    assert shown["overruled"][0]["event_id"] == first_ruling
    assert f"fell      {first_ruling} false_benefits by ann (person)" in run(
        folder, ["case", "show", "c-1"], token=tokens["sue"]
    )
    run(folder, ["case", "appeal", "v-2", "--author", "a-1", "--statement", "mine"], token=tokens["site"])
    *entries, verified = run(folder, ["case", "audit"], token=tokens["sue"]).splitlines()
    assert [entry.split()[4] for entry in entries] == ["open", "open", "rule", "overrule", "appeal"]
    assert verified.startswith("verified, the last digest is ")
    assert run(folder, ["case", "brigades"], token=tokens["sue"]) == ""
    assert (
        run(folder, ["case", "erase-author", "a-1"], token=tokens["sue"]) == "erased of 2 cases, 1 appeals, 1 clips\n"
    )
    run(folder, ["court", "revoke", "ann"])
    with pytest.raises(NotAllowedError, match="must be one that was issued and not revoked"):
        run(folder, ["case", "list"], token=tokens["ann"])


def test_without_a_token_the_way_to_one_is_told(folder: Path) -> None:
    with pytest.raises(NotAllowedError, match=r"tokens.json: is missing, issue a token first: precedent court issue"):
        run(folder, ["case", "list"])
    token = run(folder, ["court", "issue", "ann", "--role", "reviewer"]).strip()
    with pytest.raises(BadInputError, match="PRECEDENT_TOKEN is not set"):
        run(folder, ["case", "list"])
    with pytest.raises(BadInputError, match="name == 'ann' has a token already"):
        run(folder, ["court", "issue", "ann", "--role", "senior"])
    with pytest.raises(NotAllowedError, match="ann is reviewer, to appeal one must be"):
        run(folder, ["case", "appeal", "v-1", "--author", "a-1"], token=token)
    with pytest.raises(BadInputError, match="nothing was ruled on video v-1, rule on it first"):
        run(folder, ["case", "overrule", "c-1", "--category", "positive"], token=token)
    with pytest.raises(BadInputError, match=r"has no docket\.db, must be a docket"):
        run(folder.parent, ["case", "list", "--tokens", str(folder / "tokens.json")], token=token)
