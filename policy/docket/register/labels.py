"""A leaf named for a ruling after it was given in, a label beside the ruling out: the ruling itself never changes.

In force is the last label of the ruling in force, else what it was ruled with, else that of the ruling it affirms.
"""

import hashlib
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from contracts.cases import Ruling
from contracts.records import Id, LeafId, Record, Time
from contracts.taxonomy import Category
from policy.docket.principals import Principal
from policy.docket.register.reading import leaves_in, rulings_on
from policy.docket.rules import RulingRefusedError, UnknownCaseError


class Label(Record):
    """Which leaf a ruling is of, by whom and since when; empty where it is of none any more."""

    label_id: Id
    ruling_id: Id
    case_id: Id
    video_id: Id
    leaf: LeafId
    labelled_by: Id
    labelled_at: Time


class Labelled(NamedTuple):
    """A label that was entered, and the ruling as it is to be announced: with its leaf, under its own id."""

    label: Label
    ruling: Ruling


def enter(db: sqlite3.Connection, leaves: Mapping[str, str], principal: Principal, now: datetime) -> list[Labelled]:
    """Label the rulings in force on cases, in a transaction; what is of its leaf already is passed over.

    `leaves` are by case id. Raises `RulingRefusedError` where a case is not ruled, or ruled positive, and
    `UnknownCaseError`.
    """
    entered = list[Labelled]()
    for case_id, leaf in leaves.items():
        found = db.execute("SELECT video_id FROM cases WHERE case_id = ?", (case_id,)).fetchone()
        if found is None:
            raise UnknownCaseError(f"case_id == {case_id!r} is not on the docket, must be a case that was opened")
        (video_id,) = found
        rulings = rulings_on(db, video_id)
        if not rulings:
            raise RulingRefusedError(f"case {case_id}: nothing was ruled on video {video_id}, rule on it first")
        ruling = rulings[-1]
        if ruling.category is Category.POSITIVE:
            rule = f"{ruling.event_id} ruled {ruling.category.value}, must be a violative category"
            raise RulingRefusedError(f"leaf == {leaf!r} on case {case_id}: {rule}")
        if leaves_in(db, [video_id]).get(video_id, "") == leaf:
            continue
        label = Label(
            label_id=_label_id(ruling.event_id, leaf, principal.name, now),
            ruling_id=ruling.event_id,
            case_id=case_id,
            video_id=video_id,
            leaf=leaf,
            labelled_by=principal.name,
            labelled_at=now,
        )
        db.execute(
            "INSERT INTO labels (label_id, ruling_id, leaf, label) VALUES (?, ?, ?, ?)",
            (label.label_id, label.ruling_id, leaf, label.model_dump_json()),
        )
        entered.append(Labelled(label, ruling.model_copy(update={"leaf": leaf})))
    return entered


def _label_id(ruling_id: str, leaf: str, by: str, now: datetime) -> str:
    told = f"{ruling_id}/{leaf}/{by}/{now.astimezone(UTC).isoformat()}"
    return f"label-{hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}"
