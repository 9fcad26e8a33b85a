"""What a part has, and what it waits for, in; whether it should be counted on for work out.

Live and ready are two questions. A worker that waits for Triton is *live*: starting it again would help nobody, and it
would lose its place in the group. It is *not ready*: nothing is routed to a consumer, so this costs nothing, and it
stops a rollout from going on to replace workers that can score by workers that cannot. Short absences do not
count, or every hiccup of a part would take all of its readers out at once.
"""

import time
from collections.abc import Callable

SHORT_S = 10.0


class Readiness:
    """Ready when every need was met and none is missing for long, no part is waited for for long, nothing drains."""

    def __init__(self, *needs: str, short_s: float = SHORT_S, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._short_s = short_s
        self._missing: dict[str, float] = dict.fromkeys(needs, float("-inf"))
        self._waited: dict[str, float] = {}
        self._drains = False

    def has(self, need: str, *, there: bool = True) -> None:
        """Note that a need is met, or that it is not any more."""
        if there:
            self._missing.pop(need, None)
        else:
            self._missing.setdefault(need, self._now())

    def waiting(self, part: str, seconds: float) -> None:
        """Note for how long a part has been waited for; 0 when it is there."""
        self._waited[part] = seconds

    def drain(self) -> None:
        """Note that no more work is taken."""
        self._drains = True

    @property
    def lacks(self) -> str:
        """Why it is not ready; empty when it is."""
        if self._drains:
            return "draining: no more work is taken"
        now = self._now()
        reasons = [f"has no {need}" for need, since in list(self._missing.items()) if now - since > self._short_s]
        reasons += [
            f"waits for {part} since {seconds:.0f} s"
            for part, seconds in list(self._waited.items())
            if seconds > self._short_s
        ]
        return ", ".join(reasons)
