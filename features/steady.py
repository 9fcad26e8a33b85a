"""Ids in, columns out, and never a wait: what the recommender reads when the online store may be slow or away.

A lookup has a deadline. One that fails is answered as unavailable, which the ranker's policy decides about, and after
`failures` in a row the store is left alone: for `pause_s` lookups are answered so at once, then one of them tries
again. Of videos whose removal this process has read, the removal is remembered: an outage lifts none of those.

What cannot be answered is counted: precedent_lookups_total{outcome="answered" | "failed" | "skipped"}, and the gauge
precedent_lookups_paused is 1 while the store is left alone.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge

from contracts.errors import BadInputError
from contracts.verdicts import Decision
from features.lookup import (
    DECISIONS,
    AuthorFeatures,
    VideoFeatures,
    ViewerFeatures,
    lookup,
    lookup_authors,
    lookup_viewer,
)
from features.store import OpenStore

log = logging.getLogger(__name__)
T = TypeVar("T")
_REMOVE = DECISIONS.index(Decision.REMOVE)
_VARIABLES = {
    "deadline_s": "PRECEDENT_LOOKUP_DEADLINE_S",
    "failures": "PRECEDENT_LOOKUP_FAILURES",
    "pause_s": "PRECEDENT_LOOKUP_PAUSE_S",
}


@dataclass(frozen=True, slots=True)
class SteadySettings:
    """How long a lookup may take, after how many failures in a row the store is left alone, and for how long.

    remembered: the number of removals that are remembered, the least recently read go first.
    """

    deadline_s: float = 0.05
    failures: int = 3
    pause_s: float = 1.0
    remembered: int = 100_000

    def __post_init__(self) -> None:
        for name in ("deadline_s", "failures", "pause_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise BadInputError(f"{name} == {getattr(self, name)}, must be over 0 (lookups)")
        if self.remembered < 0:
            raise BadInputError(f"remembered == {self.remembered}, must be 0 or more (lookups)")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "SteadySettings":
        """Read PRECEDENT_LOOKUP_DEADLINE_S, _FAILURES and _PAUSE_S; raises `BadInputError` naming the variable."""
        given: dict[str, Any] = {}
        for field, variable in _VARIABLES.items():
            if text := environment.get(variable):
                try:
                    given[field] = float(text) if field != "failures" else int(text)
                except ValueError:
                    raise BadInputError(f"{variable} == {text!r}, must be a number") from None
        return replace(cls(), **given)


@dataclass(frozen=True, slots=True)
class Circuit:
    """How many lookups in a row have failed, and until when the store is left alone; times in seconds."""

    failed: int = 0
    paused_until: float = 0.0

    def paused(self, now: float) -> bool:
        return now < self.paused_until

    def tried(self, now: float, settings: SteadySettings) -> "Circuit":
        """A lookup goes to the store; after a pause it goes alone, the others wait for what becomes of it."""
        return replace(self, paused_until=now + settings.pause_s) if self.failed >= settings.failures else self

    def answered(self) -> "Circuit":
        return Circuit()

    def refused(self, now: float, settings: SteadySettings) -> "Circuit":
        failed = self.failed + 1
        return Circuit(failed, now + settings.pause_s if failed >= settings.failures else 0.0)


class SteadyLookups:
    """The lookups of one recommender process; any of its threads may use it."""

    def __init__(
        self,
        store: OpenStore,
        settings: SteadySettings = SteadySettings(),
        *,
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = replace(store, reader=store.reader.within(settings.deadline_s))
        self._settings = settings
        self._clock = clock
        self._turn = threading.Lock()
        self._circuit = Circuit()
        self._removed: OrderedDict[str, None] = OrderedDict()
        self.registry = registry or CollectorRegistry()
        self._counted = Counter("precedent_lookups", "lookups by outcome", ["outcome"], registry=self.registry)
        paused = Gauge("precedent_lookups_paused", "1 while the online store is left alone", registry=self.registry)
        paused.set_function(lambda: float(self._circuit.paused(self._clock())))

    def videos(self, video_ids: Sequence[str], now: datetime) -> VideoFeatures:
        """Toxicity features of N videos, all of them unavailable while the store is; removals are remembered."""
        found = self._ask(lambda: lookup(self._store, video_ids, now))
        if found is not None:
            self._remember(found)
            return found
        nothing = VideoFeatures.unavailable(video_ids)
        with self._turn:
            nothing.decision_N[[one in self._removed for one in nothing.video_ids]] = _REMOVE
        return nothing

    def authors(self, author_ids: Sequence[str], now: datetime) -> AuthorFeatures:
        """Histories of N authors, all of them unavailable while the store is."""
        found = self._ask(lambda: lookup_authors(self._store, author_ids, now))
        return AuthorFeatures.unavailable(author_ids) if found is None else found

    def viewer(self, user_id: str, now: datetime) -> ViewerFeatures:
        """A viewer's sensitivity; like anybody's while the store is away."""
        found = self._ask(lambda: lookup_viewer(self._store, user_id, now))
        return ViewerFeatures.unavailable(user_id) if found is None else found

    def _ask(self, call: Callable[[], T]) -> T | None:
        """The answer, or None where the store has none in time or is left alone."""
        with self._turn:
            now = self._clock()
            if self._circuit.paused(now):
                self._counted.labels("skipped").inc()
                return None
            self._circuit = self._circuit.tried(now, self._settings)
        try:
            found = call()
        except Exception as error:  # noqa: BLE001 - no request may die of a store, nor of a row that nobody can read
            self._refused(error)
            return None
        with self._turn:
            was, self._circuit = self._circuit, self._circuit.answered()
        self._counted.labels("answered").inc()
        if was.failed >= self._settings.failures:
            log.warning("%s answers again", self._store.config.shown_online)
        return found

    def _refused(self, error: Exception) -> None:
        self._counted.labels("failed").inc()
        with self._turn:
            self._circuit = self._circuit.refused(self._clock(), self._settings)
            failed = self._circuit.failed
        if failed == self._settings.failures:
            log.error("ALERT videos are ranked without features: %s", error)

    def _remember(self, found: VideoFeatures) -> None:
        """Note what is removed now, and forget what no longer is."""
        removed = found.decision_N == _REMOVE
        if not (removed.any() or self._removed):
            return
        with self._turn:
            if self._removed:
                for i in np.flatnonzero(~removed).tolist():
                    self._removed.pop(found.video_ids[i], None)
            for i in np.flatnonzero(removed).tolist():
                self._removed[found.video_ids[i]] = None
                self._removed.move_to_end(found.video_ids[i])
            while len(self._removed) > self._settings.remembered:
                self._removed.popitem(last=False)
