"""A token in, who acts and what they may do out: the docket's roles, and the file of hashed tokens.

The file holds no token, only the SHA-256 of each. A token is 256 random bits, so a plain hash of it cannot be searched.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from contracts.errors import BadInputError
from contracts.records import is_id

Kind = Literal["person", "adjudicator", "service"]


class Role(StrEnum):
    """What somebody is to the court."""

    REVIEWER = "reviewer"
    SENIOR = "senior"
    ADJUDICATOR = "adjudicator"
    PLATFORM = "platform"
    AUDITOR = "auditor"
    CLERK = "clerk"


class Action(StrEnum):
    """What can be done to the docket."""

    READ = "read"
    READ_AUDIT = "read audit"
    ENTER = "enter"
    RULE = "rule"
    OVERRULE = "overrule"
    APPEAL = "appeal"
    APPROVE = "approve"
    ERASE = "erase"


ALLOWED: Mapping[Action, frozenset[Role]] = MappingProxyType(
    {
        Action.READ: frozenset(Role) - {Role.PLATFORM},
        Action.READ_AUDIT: frozenset({Role.AUDITOR, Role.SENIOR}),
        Action.ENTER: frozenset({Role.CLERK}),
        Action.RULE: frozenset({Role.REVIEWER, Role.SENIOR, Role.ADJUDICATOR}),
        Action.OVERRULE: frozenset({Role.REVIEWER, Role.SENIOR}),
        Action.APPEAL: frozenset({Role.PLATFORM, Role.CLERK}),
        Action.APPROVE: frozenset({Role.SENIOR}),
        Action.ERASE: frozenset({Role.SENIOR}),
    }
)
"""Who may do what at all; `policy.docket.rules` says more of overruling."""


class NotAllowedError(BadInputError):
    """A token that nobody has, or an action that a role does not have."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts: a name that stands in every ruling and audit entry, and a role."""

    name: str
    role: Role

    def __post_init__(self) -> None:
        if not is_id(self.name):
            raise BadInputError(f"name == {self.name!r}, must be 1 to 128 of letters, digits and _ . : - (principal)")

    @property
    def kind(self) -> Kind:
        if self.role is Role.ADJUDICATOR:
            return "adjudicator"
        return "person" if self.role in {Role.REVIEWER, Role.SENIOR} else "service"

    def require(self, action: Action) -> None:
        """Raise `NotAllowedError` unless the role has this action."""
        if self.role not in ALLOWED[action]:
            may = ", ".join(sorted(ALLOWED[action]))
            raise NotAllowedError(f"{self.name} is {self.role.value}, to {action.value} one must be {may}")


CLERK = Principal("clerk", Role.CLERK)
"""The service that opens cases."""


class Tokens:
    """The file of who may enter: read anew at each question, so that a token that was taken back is refused at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def issue(self, name: str, role: Role) -> str:
        """Make a token for a principal and return it; only its hash is kept, so it is shown this once.

        Raises `BadInputError` where the name has a token already.
        """
        principal = Principal(name, role)
        entries = self._entries() if self._path.exists() else []
        if any(entry["name"] == name for entry in entries):
            raise BadInputError(f"name == {name!r} has a token already, must be new ({self._path})")
        token = secrets.token_urlsafe(32)
        self._write([*entries, {"name": principal.name, "role": principal.role.value, "sha256": _hash(token)}])
        return token

    def revoke(self, name: str) -> None:
        """Take back the token of a name; raises `BadInputError` where it has none."""
        entries = self._entries()
        left = [entry for entry in entries if entry["name"] != name]
        if len(left) == len(entries):
            raise BadInputError(f"name == {name!r} has no token ({self._path})")
        self._write(left)

    def who(self, token: str) -> Principal:
        """Whose token it is; raises `NotAllowedError`, which does not repeat it."""
        if not self._path.exists():
            raise NotAllowedError(
                f"{self._path}: is missing, issue a token first: precedent court issue NAME --role ROLE"
            )
        wanted, found = _hash(token), None
        for entry in self._entries():
            if hmac.compare_digest(entry["sha256"], wanted):
                found = Principal(entry["name"], Role(entry["role"]))
        if found is None:
            raise NotAllowedError(f"token is not one of {self._path}, must be one that was issued and not revoked")
        return found

    def _entries(self) -> list[dict[str, str]]:
        try:
            entries = json.loads(self._path.read_bytes())["tokens"]
            for entry in entries:
                Principal(entry["name"], Role(entry["role"]))
                if len(entry["sha256"]) != 64:
                    msg = f"sha256 of {entry['name']} is not 64 digits"
                    raise ValueError(msg)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadInputError(f"{self._path}: is not a file of tokens: {error}") from error
        return list(entries)

    def _write(self, entries: list[dict[str, str]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump({"tokens": entries}, stream, indent=2)
        draft.replace(self._path)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
