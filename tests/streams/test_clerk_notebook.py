"""What the clerk remembers, over its own end, and what only its owner may read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from contracts.videos import FeedbackCounts, VideoUploaded
from policy.cases.rescoring import Counted
from streams.clerk.notebook import Notebook, Rescored, audit_salt

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def version(video: str, impressions: int) -> Rescored:
    feedback = FeedbackCounts(impressions=impressions, reports=1)
    upload = VideoUploaded(
        event_id=f"e-{video}", video_id=video, author_id="a", occurred_at=NOW, title="题", feedback=feedback
    )
    return Rescored(upload, Counted(impressions, 0.5))


def test_marks_and_postponed_videos_outlive_the_clerk(tmp_path: Path) -> None:
    first = Notebook(tmp_path)
    assert (first.mark("open"), first.postponed()) == ("", {})
    first.opened("open", "one", postponed=["v1", "v2"], done=[], now=NOW)
    first.opened("open", "two", postponed=["v2", "v3"], done=["v1"], now=NOW + DAY)
    first.close()
    again = Notebook(tmp_path)
    assert again.mark("open") == "two"
    assert again.postponed() == {"v2": NOW, "v3": NOW + DAY}
    again.close()


def test_versions_that_were_not_confirmed_are_the_same_after_the_clerks_end(tmp_path: Path) -> None:
    first = Notebook(tmp_path)
    versions = [version("v1", 300), version("v2", 200)]
    first.rescore(versions, now=NOW, keep_after=NOW - DAY)
    first.sent([versions[0].upload])
    first.close()
    again = Notebook(tmp_path)
    assert again.unsent() == [versions[1].upload]
    assert again.rescored(["v1", "v2", "v3"]) == {"v1": Counted(300, 0.5), "v2": Counted(200, 0.5)}
    again.rescore([], now=NOW + 2 * DAY, keep_after=NOW + DAY)
    assert again.rescored(["v1", "v2"]) == {"v2": Counted(200, 0.5)}  # not sent yet: not forgotten
    again.close()


def test_more_videos_than_fit_one_question_are_found(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path)
    notebook.counted({f"v{n}": Counted(n, 0.0) for n in range(1_201)}, now=NOW)
    assert len(notebook.rescored([f"v{n}" for n in range(1_300)])) == 1_201
    notebook.close()


def test_one_clerk_works_on_a_docket(tmp_path: Path) -> None:
    first = Notebook(tmp_path)
    with pytest.raises(BadInputError, match=r"clerk\.db: database is locked: is another clerk at work"):
        Notebook(tmp_path, wait_s=0.05)
    first.close()


def test_a_file_that_is_no_notebook_is_named(tmp_path: Path) -> None:
    (tmp_path / "clerk.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(BadInputError, match=r"clerk\.db: is not a clerk's notebook"):
        Notebook(tmp_path)


def test_the_audits_salt_is_a_secret_that_stays_the_same(tmp_path: Path) -> None:
    salt = audit_salt(tmp_path, {})
    assert (tmp_path / "audit.salt").stat().st_mode & 0o777 == 0o600
    assert audit_salt(tmp_path, {}) == salt
    assert len(salt) == 32
    assert audit_salt(tmp_path, {"PRECEDENT_AUDIT_SALT": "0123456789abcdef"}) == "0123456789abcdef"
    assert [path.name for path in tmp_path.iterdir()] == ["audit.salt"]


def test_a_salt_that_could_be_guessed_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="PRECEDENT_AUDIT_SALT has 5 characters, must be a secret of at least 16"):
        audit_salt(tmp_path, {"PRECEDENT_AUDIT_SALT": "audit"})


def test_the_salt_may_lie_in_a_file_that_the_environment_names(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_text("0123456789abcdef\n", encoding="utf-8")
    assert audit_salt(tmp_path, {"PRECEDENT_AUDIT_SALT_FILE": str(given)}) == "0123456789abcdef"
    given.write_text("short\n", encoding="utf-8")
    with pytest.raises(BadInputError, match="PRECEDENT_AUDIT_SALT has 5 characters"):
        audit_salt(tmp_path, {"PRECEDENT_AUDIT_SALT_FILE": str(given)})
