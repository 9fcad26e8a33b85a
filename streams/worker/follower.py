"""The release pointer in, the policy that judges the next batch out: switches only to models that are ready."""

import asyncio
import logging
from dataclasses import replace
from typing import Protocol

from contracts.errors import BadInputError, PrecedentError
from contracts.releases import Pin
from serving.releases import ReleasesRoot
from streams.moderation import Policy

log = logging.getLogger(__name__)


class Readiness(Protocol):
    """Says whether a pinned pair of models can score now."""

    async def ready(self, pin: Pin) -> bool: ...


class ReleaseFollower:
    """Follows the pointer file: a stat each `every_s`, a read when it changed, a switch when models are ready.

    A pointer or release that cannot be read, or models that are not ready, leave the policy as it is. A candidate
    that is not fit to be tried yet is left out, and looked for again: the live release does not wait for it.
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
            if not await self._scorer.ready(wanted.pin):
                self._complain(f"models of release {_name(wanted)} are not ready")
                return
            ready = await self._with_candidate_if_ready(wanted)
            if ready != self._policy:
                log.warning("judging by release %s, was %s", _name(ready), _name(self._policy))
                self._policy = ready
            if ready == wanted and self._seen is not None:
                self._complaint = ""
        except (PrecedentError, OSError) as error:
            self._complain(str(error))

    async def _with_candidate_if_ready(self, wanted: Policy) -> Policy:
        if wanted.candidate is None or await self._scorer.ready(wanted.candidate.pin):
            return wanted
        self._complain(f"models of candidate {_name(wanted.candidate)} are not ready")
        return replace(wanted, candidate=None, canary_share=0.0)

    def _read_if_changed(self) -> None:
        status = self._root.pointer_path.stat()
        mark = (status.st_mtime_ns, status.st_ino)
        if mark == self._seen:
            return
        pointer = self._root.read_pointer()
        self._wanted = live = self._open(pointer.live)
        self._seen = mark
        if pointer.candidate is None:
            return
        try:
            share = pointer.canary_share if pointer.candidate == pointer.canary else 0.0
            self._wanted = replace(live, candidate=self._open_beside(live, pointer.candidate), canary_share=share)
        except (PrecedentError, OSError) as error:
            self._seen = None  # read again, until there is a candidate that can be tried
            self._complain(f"candidate {pointer.candidate!r} is not tried: {error}")

    def _open(self, pin: Pin) -> Policy:
        release = self._root.open(pin.release_version, verify=False).release
        return Policy(release, pin, leaves=self._root.leaves_of(pin))

    def _open_beside(self, live: Policy, pin: Pin) -> Policy:
        """The candidate's policy; media are decoded once, so both must read the same frames."""
        candidate = self._open(pin)
        ours, theirs = live.release.inputs, candidate.release.inputs
        if (theirs.n_frames, theirs.frame_px) != (ours.n_frames, ours.frame_px):
            raise BadInputError(
                f"reads {theirs.n_frames} frames of {theirs.frame_px} px, must read those of the live release: "
                f"{ours.n_frames} of {ours.frame_px} px"
            )
        return candidate

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            log.error("ALERT still judging by release %s: %s", _name(self._policy), complaint)


def judging(policy: Policy | None) -> dict[str, int]:
    """What judges, as fields of the log; nothing before the first policy."""
    return {} if policy is None else {"release": policy.pin.release_version, "casebook": policy.pin.casebook_version}


def _name(policy: Policy | None) -> str:
    if policy is None:
        return "none"
    share = f", which decides of {policy.canary_share:.1%} of the videos" if policy.canary_share else ""
    beside = f" beside candidate {_name(policy.candidate)}{share}" if policy.candidate else ""
    return f"{policy.pin.release_version}/{policy.pin.casebook_version}{beside}"
