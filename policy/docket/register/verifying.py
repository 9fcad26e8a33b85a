"""What was audited and what the docket holds in, the first difference between the two out."""

import sqlite3
from collections.abc import Mapping

from contracts.errors import CheckFailedError
from policy.docket.register.audit import sha256_of


def check_content(db: sqlite3.Connection, audited: Mapping[tuple[str, str], str]) -> None:
    """Compare each case, ruling, appeal and label with the digest in the audit, by (action, subject).

    What was erased is known by the digest that its row kept. Raises `CheckFailedError` naming what differs.
    """
    held = set[tuple[str, str]]()

    def check(kind: str, subject: str, actions: tuple[str, ...], content: str) -> None:
        entered = next(((action, subject) for action in actions if (action, subject) in audited), None)
        if entered is None:
            raise CheckFailedError(f"{kind} {subject} is in no audit entry, must be entered by the docket alone")
        if audited[entered] != content:
            raise CheckFailedError(f"{kind} {subject} has digest {content}, was audited as {audited[entered]}")
        held.add(entered)

    for case_id, opened, upload, digest, erased in db.execute(
        "SELECT case_id, opened, upload, upload_sha256, erased_at FROM cases"
    ):
        check("case", case_id, ("open",), sha256_of(f"{opened}\n{digest}"))
        _whole("upload of case", case_id, upload, digest, erased, audited)
    for ruling_id, text in db.execute("SELECT ruling_id, ruling FROM rulings"):
        check("ruling", ruling_id, ("rule", "overrule", "affirm"), sha256_of(text))
    for appeal_id, text, digest, erased in db.execute(
        "SELECT appeal_id, appeal, appeal_sha256, erased_at FROM appeals"
    ):
        check("appeal", appeal_id, ("appeal",), digest)
        _whole("appeal", appeal_id, text, digest, erased, audited)
    for label_id, text in db.execute("SELECT label_id, label FROM labels"):
        check("label", label_id, ("label",), sha256_of(text))
    actions = {"open", "rule", "overrule", "affirm", "appeal", "label"}
    if gone := next((one for one in audited if one[0] in actions and one not in held), None):
        raise CheckFailedError(f"audited {gone[0]} {gone[1]} is no longer on the docket")


def _whole(
    kind: str, subject: str, text: str, digest: str, erased: str | None, audited: Mapping[tuple[str, str], str]
) -> None:
    if erased is not None and ("erase", subject) not in audited:
        raise CheckFailedError(f"{kind} {subject} was erased and no audit entry says so")
    if erased is None and sha256_of(text) != digest:
        raise CheckFailedError(f"{kind} {subject} has digest {sha256_of(text)}, was audited as {digest}")
