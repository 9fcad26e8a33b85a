"""A ruling changes the verdicts of similar videos without training, and overruling it changes them back."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from contracts.taxonomy import Category
from contracts.verdicts import Decision
from policy.docket.principals import NotAllowedError
from policy.moves import read_history
from policy.publication import publish as publish_module
from policy.publication.held import all_held
from policy.publication.publish import PublicationSettings, approve_held
from policy.releases import promote, rollback
from serving.releases import ReleasesRoot
from tests.policy.publication.conftest import ANN, LIKE_IT, NOW, SAM, TREND, VLM, Court, video

CARE = PublicationSettings(flips_at_most=0, flips_share=0.0, drift_share=0.0)
"""Any flip waits for a person."""


def files_of(root: ReleasesRoot) -> list[str]:
    return sorted(str(path.relative_to(root.path)) for path in root.path.rglob("*") if "embeddings" not in str(path))


def test_a_precedent_changes_the_verdict_of_a_similar_video_and_overruling_it_changes_it_back(court: Court) -> None:
    ruled, alike = video("ruled", TREND), video("alike", LIKE_IT)
    before = court.judge(alike)
    assert (before[0], before[1]) == (Category.POSITIVE, Decision.ALLOW), "nobody was taught this trend"
    court.rule(ruled, Category.FALSE_BENEFITS)
    [done] = court.publish()
    assert (done.outcome, done.casebook and done.casebook.news) == ("published", ("case-u-ruled",))
    category, decision, toxicity = court.judge(alike)
    assert (category, decision) == (Category.FALSE_BENEFITS, Decision.REMOVE)
    assert toxicity > 0.8 > before[2]
    assert court.score(alike).cited_ids[0, 0] == "case-u-ruled"
    court.rule(ruled, Category.POSITIVE, SAM)
    court.publish()
    assert court.judge(alike)[:2] == (Category.POSITIVE, Decision.ALLOW)
    assert court.judge(alike)[2] < before[2], "and now a person said that it is good"


def test_what_a_release_was_taught_falls_when_a_person_rules_otherwise(court: Court) -> None:
    case = next(item.case for item in court.taught.evidence if item.case.category is not Category.POSITIVE)
    court.rule(case.upload, case.category)
    [same] = court.publish()
    assert (same.outcome, same.draft.news) == ("unchanged", ()), "it was taught this very ruling"
    court.rule(case.upload, Category.POSITIVE, SAM)
    [done] = court.publish()
    assert done.draft.fell == (case.case_id,)
    assert case.case_id not in done.draft.casebook.case_ids
    assert len(done.draft.casebook) == 120


def test_publishing_the_same_docket_again_writes_nothing(court: Court) -> None:
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    assert court.publish()[0].outcome == "published"
    files, pointer = files_of(court.root), court.root.read_pointer()
    again = court.publish()
    assert [one.outcome for one in again] == ["unchanged"]
    assert (files_of(court.root), court.root.read_pointer()) == (files, pointer)
    [_, move] = read_history(court.root)
    assert (move.move, move.seat, move.moved_by, move.pin) == ("publish", "live", "clerk", pointer.live)
    assert move.reason.startswith("1 precedents since the training, 0 fell; 0 of 0 recent decisions flip")


def test_a_publication_is_a_function_of_release_and_docket(court: Court, taught: object, tmp_path: Path) -> None:
    for n in range(4):
        court.rule(video(f"r{n}", f"{TREND} {'abcd'[n] * 9}"), Category.FALSE_BENEFITS)
        court.publish()
    other = ReleasesRoot(tmp_path / "other")
    promote(other, court.taught.release, now=NOW)
    stepwise = court.publish()[0].draft
    at_once = Court(other, court.docket, court.taught, now=court.now).publish()[0].draft
    assert at_once.digest == stepwise.digest
    assert at_once.casebook.case_ids == stepwise.casebook.case_ids
    assert at_once.casebook.embeddings.tobytes() == stepwise.casebook.embeddings.tobytes()


def test_what_flips_too_much_waits_for_a_senior_and_is_published_as_it_was_held(court: Court) -> None:
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    traffic = [video(f"t{n}", f"{LIKE_IT} {n}") for n in range(3)]
    [done] = court.publish(traffic, CARE)
    assert done.outcome == "held"
    assert done.reasons[0].startswith("flips 3 of 3 recent decisions (3 stricter, 0 milder), at most 0 go without")
    assert court.live.casebook_version == 1
    [held] = all_held(court.root)
    assert set(held.note.flipped) == {"v-t0", "v-t1", "v-t2"}
    files = files_of(court.root)
    assert court.publish(traffic, CARE)[0].outcome == "held"
    assert files_of(court.root) == files, "it goes on waiting, nothing is written anew"
    with pytest.raises(NotAllowedError, match="ann is reviewer, to approve one must be senior"):
        approve_held(court.root, court.docket, held.note.version, now=court.now, principal=ANN)
    digest = held.manifest.digests["casebook.onnx"]
    court.rule(video("later", "an entirely different matter of gardening"), Category.POSITIVE)
    published = approve_held(court.root, court.docket, held.note.version, now=court.now, principal=SAM)
    assert (published.approved_by, published.digests["casebook.onnx"]) == ("sam", digest)
    assert court.live == published.pin
    assert court.judge(traffic[0])[1] is Decision.REMOVE
    assert read_history(court.root)[-1].moved_by == "sam"
    assert list(all_held(court.root)) == []
    assert court.publish(traffic, CARE)[0].outcome == "published", "what was ruled later flips nothing, and follows"


def test_what_waits_is_not_approved_once_a_ruling_that_it_rests_on_fell(court: Court) -> None:
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    court.publish([video("t", LIKE_IT)], CARE)
    [held] = all_held(court.root)
    court.rule(video("ruled", TREND), Category.POSITIVE, SAM)
    with pytest.raises(BadInputError, match="the docket moved on: the ruling of case case-u-ruled is not heard any"):
        approve_held(court.root, court.docket, held.note.version, now=court.now, principal=SAM)
    assert court.publish([video("t", LIKE_IT)], CARE)[0].outcome == "published", "the good one flips nothing"
    assert list(all_held(court.root)) == []
    with pytest.raises(BadInputError, match="no casebook 2 waits for approval, those that do: none"):
        approve_held(court.root, court.docket, 2, now=court.now, principal=SAM)


def test_small_steps_do_not_add_up_unseen(court: Court) -> None:
    steps = PublicationSettings(flips_at_most=1, flips_share=0.0, drift_share=0.0)
    words = (TREND, "seven secret soups of grandma Lu", "a quiet walk along the river in autumn")
    traffic = [video(f"t{n}", f"{text}, {text} now") for n, text in enumerate(words)]
    outcomes = []
    for n, text in enumerate(words[:2]):
        court.rule(video(f"r{n}", f"{text}, {text}"), Category.FALSE_BENEFITS)
        outcomes.append(court.publish(traffic, steps)[0])
    assert [one.outcome for one in outcomes] == ["published", "held"]
    assert outcomes[1].reasons[0].startswith("since a person looked, all publications flip 2 of 3 recent decisions")
    approve_held(court.root, court.docket, 3, now=court.now, principal=SAM)
    court.rule(video("r2", f"{words[2]}, {words[2]}"), Category.FALSE_BENEFITS)
    assert court.publish(traffic, steps)[0].outcome == "published", "a person looked meanwhile"


def test_a_candidate_gets_a_casebook_of_its_own(court: Court, tmp_path: Path) -> None:
    copy = tmp_path / "two"
    write_as_version(court.taught.release, copy, 2)
    promote(court.root, copy, now=court.now, seat="shadow")
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    done = court.publish()
    assert [(one.seats, one.pin.release_version, one.outcome) for one in done] == [
        (("live",), 1, "published"),
        (("shadow",), 2, "published"),
    ]
    pointer = court.root.read_pointer()
    assert pointer.shadow == done[1].pin
    assert pointer.live == done[0].pin
    court.root.open_pin(done[1].pin)


def test_precedents_survive_a_rollback(court: Court, tmp_path: Path) -> None:
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    court.publish()
    first = court.live
    write_as_version(court.taught.release, tmp_path / "two", 2)
    promote(court.root, tmp_path / "two", now=court.now, without_gate="a test")
    court.rule(video("more", "free winter tram tickets for all who call"), Category.FALSE_BENEFITS)
    court.publish()
    assert rollback(court.root, now=court.now).live == first
    [done] = court.publish()
    assert done.outcome == "published"
    assert done.casebook is not None
    assert done.casebook.news == ("case-u-ruled", "case-u-more")


def test_a_damaged_release_publishes_nothing_and_is_named(court: Court) -> None:
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    path = court.root.release_path(1) / "casebook.onnx"
    path.write_bytes(path.read_bytes()[:-7])
    before = court.root.read_pointer()
    with pytest.raises(BadInputError, match=r"releases/1/casebook\.onnx: digest is sha256"):
        court.publish()
    assert court.root.read_pointer() == before
    assert not (court.root.path / "casebooks").exists()


class KilledError(BaseException):
    """What no handler of ours catches."""


@pytest.mark.parametrize("step", ["write_published", "_move", "write_pointer", "remember"])
def test_a_publication_that_breaks_off_leaves_nothing_half_made_and_the_next_completes_it(
    court: Court, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    before = court.live

    def die(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as killing, pytest.raises(KilledError):
        killing.setattr(publish_module, step, die)
        court.publish()
    serving = court.live
    court.root.open_pin(serving)  # what the pointer names is whole and verified
    assert (serving == before) == (step != "remember")
    _is_completed(court, moved_already=step == "remember")


def test_a_publisher_that_is_killed_while_it_writes_is_followed_by_the_next(court: Court) -> None:
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    script = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from policy import releases
from policy.docket.docket import Docket
from policy.docket.principals import CLERK
from policy.publication.publish import publish_pending
from policy.publication.traffic import RecentTraffic
from serving.releases import ReleasesRoot

releases.write_precedents = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # casebook.onnx lies in the draft
now = datetime.fromisoformat(sys.argv[3])
publish_pending(ReleasesRoot(Path(sys.argv[1])), Docket(Path(sys.argv[2])), RecentTraffic([]), now=now, principal=CLERK)
"""
    arguments = [str(court.root.path), str(court.docket.folder), court.now.isoformat()]
    done = subprocess.run([sys.executable, "-c", script, *arguments], check=False, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = [path.name for path in (court.root.path / "casebooks").iterdir()]
    assert len(left) == 1
    assert left[0].startswith(".2."), "a draft, which nothing reads"
    assert court.live.casebook_version == 1
    _is_completed(court, moved_already=False)


def _is_completed(court: Court, *, moved_already: bool) -> None:
    done = court.publish()
    assert court.live.casebook_version == 2
    assert done[0].outcome == ("unchanged" if moved_already else "published")
    assert [path.name for path in (court.root.path / "casebooks").iterdir()] == ["2"]
    assert [move.move for move in read_history(court.root)] == ["promote", "publish"]


def test_two_publishers_at_once_write_one_casebook(court: Court) -> None:
    court.rule(video("ruled", TREND), Category.FALSE_BENEFITS)
    with ThreadPoolExecutor(3) as publishers:
        done = list(publishers.map(lambda _: court.publish()[0].outcome, range(3)))
    assert sorted(done) == ["published", "unchanged", "unchanged"]
    assert [path.name for path in (court.root.path / "casebooks").iterdir()] == ["2"]
    assert [move.move for move in read_history(court.root)] == ["promote", "publish"]


def test_a_publication_with_a_sample_embedded_before_takes_little(court: Court) -> None:
    traffic = [item.case.upload for item in court.taught.evidence]
    court.rule(video("r1", TREND), Category.FALSE_BENEFITS)
    court.publish(traffic)
    cache = next((court.root.path / "embeddings").glob("*.traffic.npz"))
    written = cache.stat().st_mtime_ns
    court.rule(video("r2", f"{TREND} and more of it for everybody"), Category.FALSE_BENEFITS)
    began = time.perf_counter()
    court.publish(traffic)
    assert time.perf_counter() - began < 5.0
    assert cache.stat().st_mtime_ns == written, "no recent video was embedded again"
    cache.write_bytes(b"no archive")
    court.rule(video("r3", f"{TREND} a third time"), Category.FALSE_BENEFITS)
    assert court.publish(traffic)[0].outcome == "published", "a broken cache is made anew"


def test_an_adjudicator_alone_publishes_no_positive_and_weighs_half(court: Court) -> None:
    court.rule(video("good", LIKE_IT), Category.POSITIVE, VLM)
    [done] = court.publish()
    assert done.outcome == "unchanged"
    assert done.draft.left_out[0].case_id == "case-u-good"
    assert "a positive precedent needs a person's ruling" in done.draft.left_out[0].reason
    court.rule(video("bad", "free winter tram tickets for all"), Category.FALSE_BENEFITS, VLM, confidence=0.8)
    [done] = court.publish()
    assert done.draft.casebook.weights[-1] == pytest.approx(0.4)


def write_as_version(release: Path, path: Path, version: int) -> None:
    """The same models under another version."""
    import shutil

    from policy.releases import new_folder

    with new_folder(path) as draft:
        shutil.copytree(release, draft, dirs_exist_ok=True)
        manifest = draft / "release.json"
        text = manifest.read_text().replace('"version": 1,', f'"version": {version},', 1)
        text = text.replace('"casebook_version": 1', f'"casebook_version": {version}')
        manifest.write_text(text.replace('"parent": null', '"parent": 1'))
