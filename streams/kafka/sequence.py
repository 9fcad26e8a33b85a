"""Offsets that fetches bring in, those that are next out: each record of a partition once, in order, none left out.

Faust takes an offset that is higher than the next one for a record that is not there any more, as where a topic is
compacted, and commits past it. A record that was fetched while partitions moved, and that nobody delivered, looks the
same: it would be lost without a word. So what comes too soon is not believed at once. The consumer goes back to what
was to come; what is missing then as well is not there.
"""

from collections.abc import Hashable, Iterable, Mapping
from enum import Enum
from typing import Generic, TypeVar

Place = TypeVar("Place", bound=Hashable)


class Turn(Enum):
    """What is to be done with a record."""

    NEXT = "deliver it"
    LATE = "it was delivered: leave it out"
    EARLY = "others were to come before it: leave it out and go back to them"
    NOBODYS = "its partition was not looked up since it was given to us: leave it out, it comes again"


class RecordSequence(Generic[Place]):
    """Of each partition that is ours, the offset that is next."""

    def __init__(self) -> None:
        self._next: dict[Place, int] = {}
        self._asked_again: dict[Place, int] = {}

    def begins(self, offsets: Mapping[Place, int]) -> None:
        """Take up partitions at these offsets."""
        for place, offset in offsets.items():
            self._next[place] = offset
            self._asked_again.pop(place, None)

    def ends(self, places: Iterable[Place]) -> None:
        """Let go of partitions: what is still fetched of them is nobody's."""
        for place in places:
            self._next.pop(place, None)
            self._asked_again.pop(place, None)

    def turn(self, place: Place, offset: int, *, follows: bool = False) -> Turn:
        """Whose turn it is, and count the record as delivered if its own.

        `follows`: it came in one fetch with the record before it, so that nothing is between them.
        """
        awaited = self._next.get(place)
        if awaited is None:
            return Turn.NOBODYS
        if offset < awaited:
            return Turn.LATE
        if offset > awaited and not follows and self._asked_again.get(place) != awaited:
            return Turn.EARLY
        self._next[place] = offset + 1
        return Turn.NEXT

    def go_back(self, place: Place) -> int | None:
        """The offset to read again from, after a record that came too soon; None where the partition is let go."""
        awaited = self._next.get(place)
        if awaited is not None:
            self._asked_again[place] = awaited
        return awaited
