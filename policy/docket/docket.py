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

from contracts.cases import CaseAppealed, CaseReason, Ruling
from contracts.errors import BadInputError, CheckFailedError
from contracts.topics import CASES_APPEALS, CASES_OPENED, CASES_RULINGS, Topic
from policy.cases.priority import in_turn
from policy.docket.files import CaseFile, Clip, Decided, Depth, Fallen, NewCase, OutboxEntry
from policy.docket.frames import FrameStore
from policy.docket.principals import CLERK, Action, NotAllowedError, Principal
from policy.docket.register import appeals, entering, labels
from policy.docket.register import audit as chain
from policy.docket.register.audit import AuditEntry
from policy.docket.register.erasure import Erased, erase
from policy.docket.register.reading import decided_in, fallen_in, files_in, leaves_in, rulings_on
from policy.docket.register.store import Store, instant
from policy.docket.register.verifying import check_content
from policy.docket.rules import (
    RulingRefusedError,
    UnknownCaseError,
    refusal,
    repeats,
    standing,
)

__all__ = ["CaseFile", "Decided", "Docket", "Fallen", "NewCase", "OutboxEntry", "RulingRefusedError"]


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
        frozen = {
            new.opened.case_id: entering.freeze(self._frames, new) for new in cases if new.opened.case_id not in known
        }
        entered = list[str]()
        with self._store.writing() as db:
            for case_id, (opened, new) in frozen.items():
                if not db.execute("SELECT 1 FROM cases WHERE case_id = ?", (case_id,)).fetchone():
                    if new.frames is not None:
                        self._frames.keep(new.frames)  # an erasure may have taken the same frames away meanwhile
                    content = entering.insert(db, opened, new.upload)
                    chain.append(db, at=now, by=CLERK, action="open", subject=case_id, content=content)
                    _announce(db, CASES_OPENED, opened.video_id, opened.model_dump_json())
                    entered.append(case_id)
        return entered

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
        """Cases by expected harm, the highest first: those that wait, those that do not, or both.

        Those that wait for whatever reason come in the order in which to rule on them (`priority.in_turn`).
        """
        conditions, values = ["1"], list[object]()
        if waiting is not None:
            conditions.append("waiting" if waiting else "NOT waiting")
        if reason is not None:
            conditions.append("reason = ?")
            values.append(reason.value)
        order = "ORDER BY expected_harm DESC, opened_at, sequence LIMIT ?"
        with self._store.reading() as db:
            files = files_in(db, f"{' AND '.join(conditions)} {order}", (*values, at_most))
            if not waiting or reason is not None:
                return files
            drawn = files_in(db, "waiting AND audited > 0 ORDER BY opened_at, sequence LIMIT ?", (at_most,))
            (ruled,) = db.execute("SELECT count(*) FROM rulings WHERE overrules IS NULL").fetchone()
        return in_turn(files, drawn, ruled=ruled, name=lambda file: file.opened.case_id)[:at_most]

    def waiting(self, *, at_most: int = 100) -> list[CaseFile]:
        """The cases that somebody has still to rule on, in the order in which to do it."""
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
                [(value, instant(now), case_id) for case_id, value in harm.items()],
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
            leaf = leaves_in(db, [ruling.video_id]).get(ruling.video_id, "")  # of what it affirms, if it names none
            _announce(db, CASES_RULINGS, ruling.video_id, ruling.model_copy(update={"leaf": leaf}).model_dump_json())

    def label(self, leaves: Mapping[str, str], principal: Principal, *, now: datetime) -> list[str]:
        """Name the leaves of the rulings in force on cases, by case id; returns the cases whose leaf is another now.

        The rulings stay as they are; each is announced again with its leaf. Raises `RulingRefusedError`,
        `UnknownCaseError`, `NotAllowedError`; whether the leaves are accepted is the caller's to know.
        """
        principal.require(Action.RULE)
        with self._store.writing() as db:
            entered = labels.enter(db, leaves, principal, now)
            for label, ruling in entered:
                self._audit(db, principal, "label", label.label_id, label.model_dump_json())
                _announce(db, CASES_RULINGS, ruling.video_id, ruling.model_dump_json())
        return [label.case_id for label, _ in entered]

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
        with self._store.writing() as db:
            if appeals.enter(db, appeal):
                text = appeal.model_dump_json()
                self._audit(db, principal, "appeal", appeal.event_id, text)
                if principal != CLERK:  # what the clerk brings was heard on the topic
                    _announce(db, CASES_APPEALS, appeal.video_id, text)

    def appeals_on(self, video_id: str) -> list[CaseAppealed]:
        """The appeals on a video, oldest first, whether it has a case or not."""
        with self._store.reading() as db:
            return appeals.on_video(db, video_id)

    def unheard(self, *, at_most: int = 1_000) -> list[CaseAppealed]:
        """Appeals that no case hears and that nobody dismissed, oldest first."""
        with self._store.reading() as db:
            return appeals.unheard(db, at_most)

    def dismiss(self, appeal_id: str, reason: str, *, now: datetime) -> None:
        """Note why an appeal opens no case, so that nobody asks again; what is heard already stays so."""
        with self._store.writing() as db:
            if appeals.dismiss(db, appeal_id, reason):
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


def _announce(db: sqlite3.Connection, topic: Topic, key: str, event: str) -> None:
    db.execute("INSERT INTO outbox (topic, key, value) VALUES (?, ?, ?)", (topic.name, key, event.encode()))
