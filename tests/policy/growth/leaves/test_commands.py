"""`precedent taxonomy propose | proposals | accept | reject | leaves` and the case's leaf, as they are typed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError
from contracts.taxonomy import Category
from policy.commands.cases import case
from policy.docket.principals import NotAllowedError, Role, Tokens
from policy.growth.commands import taxonomy
from tests.policy.publication.conftest import LIKE_IT, Court, video


def test_a_cluster_is_proposed_listed_accepted_and_then_suggested(court: Court, tmp_path: Path) -> None:
    tokens = Tokens(court.docket.folder / "tokens.json")
    ann, sam = tokens.issue("ann", Role.REVIEWER), tokens.issue("sam", Role.SENIOR)
    court.now = datetime.now(UTC) - timedelta(hours=1)
    for n in range(6):
        court.rule(video(f"like-{n}", f"\x1b[2J{n} {LIKE_IT}", author=f"author-{n}"), Category.FALSE_BENEFITS)
    court.open(video("new", LIKE_IT))

    def run(*typed: str, token: str = sam) -> str:
        group, words = (case, typed[1:]) if typed[0] == "case" else (taxonomy, typed)
        environment = {
            "PRECEDENT_RELEASES": str(court.root.path),
            "PRECEDENT_DOCKET": str(court.docket.folder),
            "PRECEDENT_TAXONOMY": str(tmp_path / "taxonomy"),
            "PRECEDENT_TOKEN": token,
        }
        done = CliRunner().invoke(group, list(words), env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    *told, summed_up = run("propose", "--days", "1", token=ann).splitlines()
    proposal, _, rest = told[0].partition("  ")
    assert rest.startswith("false_benefits: ")
    assert told[1].startswith("  6 cases of 6 authors, cohesion ")
    assert told[1].endswith("no leaf is near")
    assert r": \x1b[2J" in told[2], "uploaders' words are escaped"
    assert summed_up == (
        "6 rulings, 0 of a leaf or explained by one; 1 new proposals, 0 clusters wait already, 0 were rejected before"
    )
    assert run("proposals", token=ann).splitlines() == [*told, "1 proposals wait"]
    assert len(json.loads(run("proposals", "--json"))["members"]) == 6
    with pytest.raises(NotAllowedError, match="ann is reviewer, to approve one must be senior"):
        run("accept", proposal, token=ann)
    with pytest.raises(BadInputError, match="nothing was ruled on video v-new"):
        run("case", "label", "case-u-new", "--leaf", "moon pebbles")
    accepted = run("accept", proposal, "--name", "moon pebbles")
    leaf = accepted.split()[0]
    assert accepted == f"{leaf}  commercial~false_benefits~moon pebbles: 6 cases are of it\n"
    assert run("leaves").splitlines()[1].split() == ["6", leaf, "commercial~false_benefits~moon", "pebbles"]
    with pytest.raises(BadInputError, match=rf"'{proposal}' was accepted as .*~moon pebbles by sam"):
        run("reject", proposal, "--reason", "no")
    ruled = run("case", "rule", "case-u-new", "--category", "false_benefits", token=ann)
    assert ruled.endswith("v-new is false_benefits\n")
    shown = run("case", "show", "case-u-new", "--suggest")
    assert f"suggested {leaf} commercial~false_benefits~moon pebbles, at " in shown
    labelled = run("case", "label", "case-u-new", "--leaf", "moon pebbles", token=ann)
    assert labelled == "v-new is of commercial~false_benefits~moon pebbles\n"
    assert json.loads(run("case", "show", "case-u-new", "--json", "--suggest"))["leaf"] == leaf
    assert "moon pebbles" in run("case", "list", "--all").splitlines()[1]
    assert run("propose").splitlines() == [
        "7 rulings, 7 of a leaf or explained by one; 0 new proposals, 0 clusters wait already, 0 were rejected before"
    ]
