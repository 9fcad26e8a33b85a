"""What hangs on a precedent: computed with it and without it, exactly as if it had fallen."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from contracts.errors import BadInputError, CheckFailedError
from contracts.taxonomy import Category
from contracts.verdicts import Decision, Verdict
from contracts.videos import VideoUploaded
from policy.commands.policy import policy
from policy.decide import judge
from policy.docket.principals import Role, Tokens
from policy.publication.impact import impact_of, table
from tests.policy.publication.conftest import LIKE_IT, TREND, Court, video

WITH_MEDIA = "file:///nowhere/gone.mp4"


def verdict_of(court: Court, upload: VideoUploaded) -> Verdict:
    release = court.root.open(1).release
    present = np.zeros((1, 5), np.uint8)
    [verdict] = judge([upload], present, court.score(upload), release, court.live, now=court.now + timedelta(hours=1))
    return verdict


def test_the_impact_of_a_precedent_is_what_its_fall_does(court: Court) -> None:
    alike = [video(f"a{n}", f"{LIKE_IT} {n}") for n in range(3)]
    gone = video("gone", LIKE_IT).model_copy(update={"media_url": WITH_MEDIA, "event_id": "u-gone"})
    without = [court.judge(upload) for upload in alike]
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    court.publish()
    verdicts = [verdict_of(court, upload) for upload in (*alike, gone)]
    assert all("case-u-ruled" in {c.case_id for c in v.citations} for v in verdicts)
    uploads = {upload.video_id: upload for upload in (*alike, gone)}
    found = impact_of(court.root, "case-u-ruled", verdicts, uploads)
    assert (found.citing, found.computed, found.gone, found.category) == (4, 3, 1, Category.FALSE_BENEFITS)
    assert {one.video_id for one in found.changes} == {"v-a0", "v-a1", "v-a2"}
    for change, (category, decision, toxicity) in zip(found.changes, without, strict=True):
        assert change.now.decision is Decision.REMOVE
        assert (change.then.decision, change.then.category) == (decision, category)
        assert change.then.toxicity == pytest.approx(toxicity, abs=1e-4), "as the released casebook without it says"
    lines = table(found).splitlines()
    assert "4 recent verdicts cite it, 3 computed anew, 1 could not be" in lines[0]
    assert lines[2].split()[:4] == ["v-a0", "remove", "->", "allow"]


def test_a_taught_precedent_has_an_impact_too_and_an_unknown_one_is_refused(court: Court) -> None:
    case = court.taught.evidence[0].case
    verdict = verdict_of(court, case.upload)
    found = impact_of(court.root, case.case_id, [verdict], {case.upload.video_id: case.upload})
    assert (found.citing, found.computed, found.gone, found.category) == (1, 1, 0, case.category)
    with pytest.raises(BadInputError, match="'case-x' is no precedent of what is live: release 1, casebook 1"):
        impact_of(court.root, "case-x", [], {})


def test_the_commands_hold_and_approve(court: Court, tmp_path: Path) -> None:
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    traffic = tmp_path / "uploads.jsonl"
    traffic.write_text("".join(video(f"t{n}", f"{LIKE_IT} {n}").model_dump_json() + "\n" for n in range(3)))
    places = ["--releases", str(court.root.path), "--docket", str(court.docket.folder)]
    options = [*places, "--traffic", str(traffic), "--flips-share", "0"]
    held = CliRunner().invoke(policy, ["publish", *options, "--flips-at-most", "0", "--json"])
    assert isinstance(held.exception, CheckFailedError)
    assert "casebook 2 of release 1 waits for a senior: flips 3 of 3" in str(held.exception)
    assert json.loads(held.stdout)["casebook"]["news"] == ["case-u-ruled"]
    tokens = tmp_path / "tokens.json"
    token = Tokens(tokens).issue("sam", Role.SENIOR)
    approve = ["publish", *places, "--approve", "2", "--tokens", str(tokens)]
    done = CliRunner().invoke(policy, approve, env={"PRECEDENT_TOKEN": token}, catch_exceptions=False)
    assert done.output == "published casebook 2 of release 1, approved by sam\n"
    again = CliRunner().invoke(policy, ["publish", *options], catch_exceptions=False)
    assert again.output == "release 1 (live): unchanged\n"
