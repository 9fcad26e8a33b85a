"""Dead letters in, a line of the log for each of the first of a second out, and a count of the others.

A flood of poison must not become a flood of lines: each letter is counted by its reason and lies in its dead topic.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from contracts.dead_letters import DeadLetter
from contracts.records import is_id
from contracts.topics import DEAD_SUFFIX

log = logging.getLogger(__name__)
LINES_A_SECOND = 10
READ_AT_MOST_BYTES = 100_000


class LetterLog:
    """Tells of letters, of so many a second one by one."""

    def __init__(self, *, at_most: int = LINES_A_SECOND, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_most = at_most
        self._clock = clock
        self._second = -1
        self._left = 0

    def tell(self, letters: Sequence[DeadLetter]) -> None:
        """Log each letter with where it lay and, as far as its bytes tell, what it is about."""
        if not letters:
            return
        if (second := int(self._clock())) != self._second:
            self._second, self._left = second, self._at_most
        told, rest = letters[: self._left], letters[self._left :]
        self._left -= len(told)
        for letter in told:
            log.warning(
                "refused %s/%d@%d: %s: %s",
                letter.topic,
                letter.partition,
                letter.offset,
                letter.reason.value,
                letter.text,
                extra=fields_of(letter),
            )
        if rest:
            reasons = dict(Counter(letter.reason.value for letter in rest))
            log.warning(
                "refused %d more events, they are in the dead topics: %s",
                len(rest),
                reasons,
                extra={"events": len(rest), "reasons": reasons, "topic": rest[0].topic},
            )


def fields_of(letter: DeadLetter) -> dict[str, object]:
    """A letter's fields in a log: of the refused bytes only ids that are ids."""
    return {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "dead_topic": letter.topic + DEAD_SUFFIX,
        "reason": letter.reason.value,
        "place": letter.place,
        **_ids_in(letter),
    }


def _ids_in(letter: DeadLetter) -> dict[str, str]:
    if letter.raw_bytes > READ_AT_MOST_BYTES:
        return {}
    try:
        event = json.loads(letter.raw)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(event, dict):
        return {}
    named = ((name, event.get(name)) for name in ("event_id", "video_id"))
    return {name: value for name, value in named if isinstance(value, str) and is_id(value)}
