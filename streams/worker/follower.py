"""The release pointer in, the policy that judges the next batch out: switches only to models that are ready."""

import asyncio
import logging
from typing import Protocol

from contracts.errors import PrecedentError
from contracts.releases import Pin
from serving.releases import ReleasesRoot
from streams.moderation import Policy

log = logging.getLogger(__name__)


class Readiness(Protocol):
    """Says whether a pinned pair of models can score now."""

    async def ready(self, pin: Pin) -> bool: ...


class ReleaseFollower:
    """Follows the pointer file: a stat each `every_s`, a read when it changed, a switch when models are ready.

    A pointer or release that cannot be read, or models that are not ready, leave the policy as it is.
    """

    def __init__(self, root: ReleasesRoot, scorer: Readiness, *, every_s: float = 0.2) -> None:
        self._root = root
        self._scorer = scorer
        self._every_s = every_s
        self._seen: tuple[int, int] | None = None
        self._wanted: Policy | None = None
        self._policy: Policy | None = None
        self._complaint = ""

    @property
    def policy(self) -> Policy | None:
        """The policy to judge by; None until the first one is ready."""
        return self._policy

    async def follow(self) -> None:
        """Follow until cancelled; what nobody foresaw is told like the rest, and does not end the following."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - a worker that follows no more would say nothing of it
                self._complain(f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._every_s)

    async def first_policy(self) -> Policy:
        """Wait for the first policy whose models are ready."""
        while self._policy is None:
            await self.look()
            await asyncio.sleep(0 if self._policy else self._every_s)
        return self._policy

    async def look(self) -> None:
        """Look at the pointer once, and switch if what it names is ready."""
        try:
            self._read_if_changed()
            wanted = self._wanted
            if wanted is None or wanted == self._policy:
                return
            if await self._scorer.ready(wanted.pin):
                log.warning("judging by release %s, was %s", _name(wanted), _name(self._policy))
                self._policy = wanted
                self._complaint = ""
            else:
                self._complain(f"models of release {_name(wanted)} are not ready")
        except (PrecedentError, OSError) as error:
            self._complain(str(error))

    def _read_if_changed(self) -> None:
        status = self._root.pointer_path.stat()
        mark = (status.st_mtime_ns, status.st_ino)
        if mark == self._seen:
            return
        pin = self._root.read_pointer().live
        self._wanted = Policy(self._root.open(pin.release_version, verify=False).release, pin)
        self._seen = mark

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            log.error("ALERT still judging by release %s: %s", _name(self._policy), complaint)


def _name(policy: Policy | None) -> str:
    return f"{policy.pin.release_version}/{policy.pin.casebook_version}" if policy else "none"
