"""Bounds in bytes for what Faust bounds in events: the buffer of a stream, and the batches that are taken from it.

An event is 1.5 kB as a rule, 170 kB where its contract's longest texts are filled, and as large as the broker lets a
record be (1 MB) where it keeps no contract. 8,192 of the last would be 8 GB; so a queue that holds its bytes' worth is
full, however few its events, and then its partitions are not fetched from until it has fallen.

What a consumer holds at any lag is at most three times that bound (the queue, a batch taken from it, and the parts of
earlier batches that are under way), and what one fetch of each partition brings (1 MB, once as it came, once read).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import faust
from mode.utils.queues import ThrowableQueue

BUFFER_BYTES = 32 << 20


def bound_bytes(app: faust.App, at_most: int) -> None:
    """Let the app's streams hold `at_most` bytes of values each; call it before the app declares an agent."""

    def make(maxsize: int | None = None, *, clear_on_resume: bool = False) -> "BoundedQueue":
        return BoundedQueue(
            at_most, maxsize=maxsize or 0, flow_control=app.flow_control, clear_on_resume=clear_on_resume
        )

    app.FlowControlQueue = make


class BoundedQueue(ThrowableQueue):
    """Faust's queue of events, full by their number or by their bytes, whichever comes first."""

    def __init__(self, at_most: int, **options: Any) -> None:
        self._at_most = at_most
        self._held = 0
        super().__init__(**options)

    @property
    def held_bytes(self) -> int:
        return self._held

    def full(self) -> bool:
        return self._held >= self._at_most or super().full()

    def in_pressure_high_state(self, callback: Callable[[], object]) -> bool:
        """Whether fetching must stop: at four fifths of either bound, as Faust has it for events."""
        if callback in self._pending_pressure_drop_callbacks:
            return False
        if self._held < self._at_most / self.pressure_high_ratio:
            return bool(super().in_pressure_high_state(callback))
        self._pending_pressure_drop_callbacks.add(callback)
        self.on_pressure_high()
        return True

    def maybe_endorse_pressure_drop(self) -> None:
        """Let fetching go on when both have fallen to two fifths."""
        if self._held <= self._at_most * self.pressure_drop_ratio:
            super().maybe_endorse_pressure_drop()

    def clear(self) -> None:
        super().clear()
        self._held = 0

    def _put(self, item: Any) -> None:
        self._held += _bytes_of(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self._held -= _bytes_of(item)
        return item


def parts(events: Sequence[Any], at_most: int) -> Iterator[Sequence[Any]]:
    """A batch in order, in parts of `at_most` bytes; one event that alone is larger is a part of its own."""
    start = held = 0
    for place, event in enumerate(events):
        size = _bytes_of(event)
        if place > start and held + size > at_most:
            yield events[start:place]
            start, held = place, 0
        held += size
    if start < len(events):
        yield events[start:]


def _bytes_of(event: Any) -> int:
    value = event.message.value if hasattr(event, "message") else None
    return len(value) if value else 0
