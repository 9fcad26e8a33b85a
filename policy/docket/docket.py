"""Cases, rulings and appeals in; what waits, what is in force, what fell and what is to be announced out.

FOLDER/docket.db       the register (SQLite); several processes may have it open
FOLDER/frames/         frozen frames by their digest

Whatever enters does so in one transaction with its audit entry and the event that announces it, or not at all.
"""

import json
import math
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from contracts.cases import CaseAppealed, CaseOpened, CaseReason, Ruling
from contracts.errors import BadInputError, CheckFailedError
from contracts.topics import CASES_APPEALS, CASES_OPENED, CASES_RULINGS, Topic
from contracts.videos import VideoUploaded
from policy.cases.priority import expected_harm
from policy.docket import audit as chain
from policy.docket.audit import AuditEntry, sha256_of
from policy.docket.erasure import Erased, erase
from policy.docket.files import CaseFile, Clip, Decided, Depth, Fallen, NewCase, OutboxEntry
from policy.docket.frames import FrameStore
from policy.docket.principals import CLERK, Action, NotAllowedError, Principal
from policy.docket.reading import decided_in, fallen_in, files_in, rulings_on
from policy.docket.rules import (
    AppealRefusedError,
    RulingRefusedError,
    UnknownCaseError,
    appeal_refusal,
    refusal,
    repeats,
    standing,
)
from policy.docket.store import Store
from policy.docket.verifying import check_content

__all__ = ["CaseFile", "Decided", "Docket", "Fallen", "NewCase", "OutboxEntry", "RulingRefusedError"]
UNWEIGHED_TO_COME = 100.0
"""Impressions that a video is taken to have before it until the clerk has weighed its case."""


def _by_the_wall() -> datetime:
    return datetime.now(UTC)


class Docket:
    """The register of one court, made where it is missing; threads may share one, processes each open their own.

    Raises `BadInputError` where the folder holds something else, `DependencyError` when others keep it busy too long.
    `clock` says when something is audited.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], datetime] = _by_the_wall) -> None:
        self.folder = folder
        self._store = Store(folder)
        self._frames = FrameStore(folder / "frames")
        self._clock = clock

    def close(self) -> None:
        self._store.close()

    # cases

    def enter(self, cases: Sequence[NewCase], *, now: datetime) -> list[str]:
        """Put cases on the docket with their evidence; returns the ids of those that are new, the others stay as is.

        The digest of the frames becomes part of the evidence. A case on a video that is ruled already does not wait,
        an appeal's does.
        """
        known = self.known([new.opened.case_id for new in cases])
        frozen = {new.opened.case_id: self._freeze(new) for new in cases if new.opened.case_id not in known}
        entered = list[str]()
        with self._store.writing() as db:
            for case_id, (opened, new) in frozen.items():
                if not db.execute("SELECT 1 FROM cases WHERE case_id = ?", (case_id,)).fetchone():
                    if new.frames is not None:
                        self._frames.keep(new.frames)  # an erasure may have taken the same frames away meanwhile
                    self._insert(db, opened, new.upload, now)
                    entered.append(case_id)
        return entered

    def _freeze(self, new: NewCase) -> tuple[CaseOpened, NewCase]:
        opened, place = new.opened, f"case {new.opened.case_id}"
        if opened.video_id != new.upload.video_id:
            raise BadInputError(f"{place}: video_id == {opened.video_id!r}, its upload's is {new.upload.video_id!r}")
        if new.frames is None and opened.evidence is not None and (given := opened.evidence.frames_digest) is not None:
            if not self._frames.has(given):
                raise BadInputError(f"{place}: frames_digest == {given!r}, but no frames were given and none are kept")
            return opened, new
        if new.frames is None:
            return opened, new
        if opened.evidence is None:
            raise BadInputError(f"{place}: has frames and no evidence, must have evidence that names them")
        digest = self._frames.keep(new.frames)
        if (given := opened.evidence.frames_digest) not in {None, digest}:
            raise BadInputError(f"{place}: frames_digest == {given!r}, that of its frames is {digest!r}")
        evidence = opened.evidence.model_copy(update={"frames_digest": digest})
        return opened.model_copy(update={"evidence": evidence}), new

    def _insert(self, db: sqlite3.Connection, opened: CaseOpened, upload: VideoUploaded, now: datetime) -> None:
        evidence, text, seen = opened.evidence, opened.model_dump_json(), upload.model_dump_json()
        appealed = opened.reason is CaseReason.APPEAL
        db.execute(
            "INSERT INTO cases (case_id, video_id, author_id, reason, opened_at, opened, upload, upload_sha256, "
            "frames_digest, expected_harm, waiting) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                opened.case_id,
                opened.video_id,
                upload.author_id,
                opened.reason.value,
                _instant(opened.opened_at),
                text,
                seen,
                sha256_of(seen),
                evidence.frames_digest if evidence else None,
                expected_harm(evidence, UNWEIGHED_TO_COME) if evidence else 0.0,
                appealed or not rulings_on(db, opened.video_id),
            ),
        )
        if appealed:
            db.execute(
                "INSERT OR IGNORE INTO hearings (appeal_id, case_id) SELECT appeal_id, ? FROM appeals "
                "WHERE video_id = ? AND appeal_id NOT IN (SELECT appeal_id FROM hearings)",
                (opened.case_id, opened.video_id),
            )
        chain.append(db, at=now, by=CLERK, action="open", subject=opened.case_id, content=f"{text}\n{sha256_of(seen)}")
        _announce(db, CASES_OPENED, opened.video_id, text)

    def known(self, case_ids: Collection[str]) -> set[str]:
        """Those of the ids that are on the docket."""
        return {str(case_id) for (case_id,) in self._in("SELECT case_id FROM cases WHERE case_id", case_ids)}

    def file(self, case_id: str) -> CaseFile:
        """All that there is of a case; raises `UnknownCaseError`."""
        with self._store.reading() as db:
            found = files_in(db, "case_id = ?", (case_id,))
        if not found:
            raise UnknownCaseError(f"case_id == {case_id!r} is not on the docket, must be a case that was opened")
        return found[0]

    def cases_on(self, video_id: str) -> list[CaseFile]:
        """The cases on a video, oldest first; none where it never had one."""
        with self._store.reading() as db:
            return files_in(db, "video_id = ? ORDER BY sequence", (video_id,))

    def listed(
        self, *, waiting: bool | None = None, reason: CaseReason | None = None, at_most: int = 100
    ) -> list[CaseFile]:
        """Cases by expected harm, the highest first: those that wait, those that do not, or both."""
        conditions, values = ["1"], list[object]()
        if waiting is not None:
            conditions.append("waiting" if waiting else "NOT waiting")
        if reason is not None:
            conditions.append("reason = ?")
            values.append(reason.value)
        order = "ORDER BY expected_harm DESC, opened_at, sequence LIMIT ?"
        with self._store.reading() as db:
            return files_in(db, f"{' AND '.join(conditions)} {order}", (*values, at_most))

    def waiting(self, *, at_most: int = 100) -> list[CaseFile]:
        """The cases that somebody has still to rule on, highest expected harm first."""
        return self.listed(waiting=True, at_most=at_most)

    def weigh(self, harm: Mapping[str, float], *, now: datetime) -> None:
        """Set the expected harm of cases by id; raises `BadInputError` for an unknown one or a harm below 0."""
        if wrong := [one for one, value in harm.items() if not (math.isfinite(value) and value >= 0.0)]:
            raise BadInputError(f"case {wrong[0]}: expected harm == {harm[wrong[0]]}, must be 0 or more")
        if unknown := sorted(set(harm) - self.known(harm)):
            raise UnknownCaseError(f"case_id == {unknown[0]!r} is not on the docket, must be there to be weighed")
        with self._store.writing() as db:
            db.executemany(
                "UPDATE cases SET expected_harm = ?, weighed_at = ? WHERE case_id = ?",
                [(value, _instant(now), case_id) for case_id, value in harm.items()],
            )

    def frames(self, digest: str) -> Clip:
        """Frozen frames, uint8 [f, S, S, 3]; raises `BadInputError` where they are gone or not what they were."""
        return self._frames.read(digest)

    # rulings

    def rule(self, ruling: Ruling, principal: Principal) -> CaseFile:
        """Enter a ruling; one that says what the same judge ruled before, and is in force, changes nothing.

        Raises `RulingRefusedError` with the rule that it breaks, `NotAllowedError` where the role may not rule.
        """
        principal.require(Action.RULE)
        try:
            self._rule(ruling, principal)
        except (RulingRefusedError, NotAllowedError):
            with self._store.writing() as db:
                self._audit(db, principal, "refused", ruling.event_id, ruling.model_dump_json())
            raise
        return self.file(ruling.case_id)

    def _rule(self, ruling: Ruling, principal: Principal) -> None:
        with self._store.writing() as db:
            files = files_in(db, "case_id = ?", (ruling.case_id,))
            opened = files[0].opened if files else None
            earlier = rulings_on(db, opened.video_id if opened else ruling.video_id)
            if reason := refusal(ruling, opened, earlier, principal):
                in_force = standing(earlier).in_force
                if ruling in earlier or (in_force is not None and repeats(ruling, in_force)):
                    return
                raise RulingRefusedError(reason)
            if ruling.overrules is not None:
                principal.require(Action.OVERRULE)
            taken = db.execute("SELECT case_id FROM rulings WHERE ruling_id = ?", (ruling.event_id,)).fetchone()
            if taken:
                raise RulingRefusedError(f"event_id == {ruling.event_id!r} is that of another ruling, on {taken[0]}")
            if db.execute("SELECT erased_at FROM cases WHERE case_id = ?", (ruling.case_id,)).fetchone()[0]:
                raise RulingRefusedError(f"case {ruling.case_id}: its evidence was erased, there is nothing to rule on")
            text = ruling.model_dump_json()
            db.execute(
                "INSERT INTO rulings (ruling_id, case_id, video_id, overrules, ruling) VALUES (?, ?, ?, ?, ?)",
                (ruling.event_id, ruling.case_id, ruling.video_id, ruling.overrules, text),
            )
            db.execute(
                "UPDATE cases SET waiting = 0 WHERE case_id = ? OR (video_id = ? AND reason <> ?)",
                (ruling.case_id, ruling.video_id, CaseReason.APPEAL.value),
            )
            action = "overrule" if ruling.overrules else "affirm" if earlier else "rule"
            self._audit(db, principal, action, ruling.event_id, text)
            _announce(db, CASES_RULINGS, ruling.video_id, text)

    def decided(self, *, after: int = 0) -> list[Decided]:
        """The rulings in force that were entered after a place, in the order of entry; erased cases left out."""
        with self._store.reading() as db:
            return decided_in(db, after)

    def overruled_since(self, after: int) -> list[Fallen]:
        """What fell by rulings that were entered after a place, in the order of entry."""
        with self._store.reading() as db:
            return fallen_in(db, after)

    # appeals

    def appeal(self, appeal: CaseAppealed, principal: Principal) -> None:
        """Enter an author's appeal; one that is there already changes nothing. The clerk opens a case for it.

        It joins an appeal's case on the video that still waits. Raises `AppealRefusedError`, `NotAllowedError`.
        """
        principal.require(Action.APPEAL)
        text = appeal.model_dump_json()
        with self._store.writing() as db:
            there = db.execute("SELECT appeal_sha256 FROM appeals WHERE appeal_id = ?", (appeal.event_id,)).fetchone()
            if there is not None:
                if there[0] != sha256_of(text):
                    raise AppealRefusedError(f"event_id == {appeal.event_id!r} is that of another appeal")
                return
            rows = db.execute(
                "SELECT author_id FROM cases WHERE video_id = ? AND erased_at IS NULL", (appeal.video_id,)
            )
            authors = {author for (author,) in rows}
            (count,) = db.execute("SELECT count(*) FROM appeals WHERE video_id = ?", (appeal.video_id,)).fetchone()
            if reason := appeal_refusal(appeal, authors, count):
                raise AppealRefusedError(reason)
            db.execute(
                "INSERT INTO appeals (appeal_id, video_id, author_id, appeal, appeal_sha256) VALUES (?, ?, ?, ?, ?)",
                (appeal.event_id, appeal.video_id, appeal.author_id, text, sha256_of(text)),
            )
            db.execute(
                "INSERT INTO hearings (appeal_id, case_id) SELECT ?, case_id FROM cases "
                "WHERE video_id = ? AND reason = ? AND waiting LIMIT 1",
                (appeal.event_id, appeal.video_id, CaseReason.APPEAL.value),
            )
            self._audit(db, principal, "appeal", appeal.event_id, text)
            if principal != CLERK:  # what the clerk brings was heard on the topic
                _announce(db, CASES_APPEALS, appeal.video_id, text)

    def unheard(self, *, at_most: int = 1_000) -> list[CaseAppealed]:
        """Appeals that no case hears and that nobody dismissed, oldest first."""
        rows = self._store.rows(
            "SELECT appeal FROM appeals WHERE erased_at IS NULL AND appeal_id NOT IN (SELECT appeal_id FROM hearings) "
            "ORDER BY sequence LIMIT ?",
            (at_most,),
        )
        return [CaseAppealed.model_validate_json(text) for (text,) in rows]

    def dismiss(self, appeal_id: str, reason: str, *, now: datetime) -> None:
        """Note why an appeal opens no case, so that nobody asks again; what is heard already stays so."""
        with self._store.writing() as db:
            if not db.execute("SELECT 1 FROM appeals WHERE appeal_id = ?", (appeal_id,)).fetchone():
                raise UnknownCaseError(f"appeal {appeal_id!r} is not on the docket")
            values = (appeal_id, reason)
            if db.execute("INSERT OR IGNORE INTO hearings (appeal_id, dismissed) VALUES (?, ?)", values).rowcount:
                chain.append(db, at=now, by=CLERK, action="dismiss", subject=appeal_id, content=reason)

    # announcing, counting, erasing

    def outbox(self, *, at_most: int) -> list[OutboxEntry]:
        """The next events to announce, in the order in which they happened."""
        rows = self._store.rows("SELECT sequence, topic, key, value FROM outbox ORDER BY sequence LIMIT ?", (at_most,))
        return [OutboxEntry(*row) for row in rows]

    def sent(self, sequences: Collection[int]) -> None:
        """Forget events of the outbox that were announced."""
        with self._store.writing() as db:
            db.executemany("DELETE FROM outbox WHERE sequence = ?", [(one,) for one in sequences])

    def depth(self) -> Depth:
        """How much there is to do."""
        ((waiting, oldest),) = self._store.rows("SELECT count(*), min(opened_at) FROM cases WHERE waiting")
        ((unsent,),) = self._store.rows("SELECT count(*) FROM outbox")
        return Depth(waiting, datetime.fromisoformat(oldest) if oldest else None, unsent)

    def erase_author(self, author_id: str, principal: Principal, *, now: datetime) -> Erased:
        """Take an author's uploads, frames and appeals out of the docket; rulings stay, of a video without a name."""
        principal.require(Action.ERASE)
        with self._store.writing() as db:
            erased = erase(db, author_id, now=now)
            for subject in (*erased.cases, *erased.appeals):
                chain.append(db, at=now, by=principal, action="erase", subject=subject, content="")
            for digest in erased.frames:
                self._frames.forget(digest)
        self._store.truncate_log()
        return erased

    def erased(self) -> set[str]:
        """The cases whose evidence was erased: their precedents must not be published or taught again."""
        return {str(one) for (one,) in self._store.rows("SELECT case_id FROM cases WHERE erased_at IS NOT NULL")}

    # audit

    def audit(self, *, after: int = 0) -> Iterator[AuditEntry]:
        """What was done, oldest first."""
        while True:
            with self._store.reading() as db:
                entries = chain.page(db, after=after)
            yield from entries
            if not entries:
                return
            after = entries[-1].sequence

    def verify_audit(self, *, noted: str | None = None) -> str:
        """Check the chain, and that cases, rulings and appeals are those that were audited; returns the last digest.

        `noted` is a last digest of earlier, which must still be in the chain. Raises `CheckFailedError` naming the
        first entry that is broken, or what is not in the audit.
        """
        audited, last, seen = dict[tuple[str, str], str](), chain.FIRST, noted is None
        for entry in chain.verified(self.audit()):
            audited[entry.action, entry.subject] = entry.content
            last, seen = entry.digest, seen or entry.digest == noted
        if not seen:
            raise CheckFailedError(f"digest {noted} was noted and is in no audit entry: the audit was cut or replaced")
        with self._store.reading() as db:
            check_content(db, audited)
        return last

    def _audit(self, db: sqlite3.Connection, principal: Principal, action: str, subject: str, content: str) -> None:
        chain.append(db, at=self._clock(), by=principal, action=action, subject=subject, content=content)

    def _in(self, question: str, values: Collection[str]) -> list[tuple[object, ...]]:
        return self._store.rows(f"{question} IN (SELECT value FROM json_each(?))", (json.dumps(list(values)),))


def _instant(at: datetime) -> str:
    """A moment in UTC as text that sorts by time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _announce(db: sqlite3.Connection, topic: Topic, key: str, event: str) -> None:
    db.execute("INSERT INTO outbox (topic, key, value) VALUES (?, ?, ?)", (topic.name, key, event.encode()))
