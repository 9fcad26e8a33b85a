"""Topics as a cluster must have them: what is declared, and what a cluster that has others lacks.

The declaration is a floor. More partitions, copies or days than it says are an operator's to choose and are left alone;
so nothing that it asks for takes anything away, except a cleanup policy, which is reported and never changed.

No topic is compacted. Each record is an event with an id of its own, counted by the warehouse: of a video scored again
the verdict before is what the viewers of that hour were shown, and a compacted topic would drop it for a sink that
is behind. What is needed for good lies in the warehouse, the docket and the releases; the release pointer is a file.
A cluster may compact by default, hence the policy is declared and not left to it.

Growing a topic moves keys to other partitions. Versions keep features and rows right meanwhile; the order of a key's
records across that moment is not kept. So topics start with more partitions than the first workers need.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from contracts.topics import (
    CASES_APPEALS,
    CASES_OPENED,
    CASES_RULINGS,
    EXPERIMENTS_EXPOSURES,
    TOPICS,
    USERS_REPORTS,
    USERS_SESSIONS,
    VIDEOS_IMPRESSIONS,
    VIDEOS_UPLOADED,
    VIDEOS_VERDICTS,
    Topic,
)

PARTITIONS = 12
"""Of a topic of which much comes; of the others a part of that."""
DEAD_KEPT = timedelta(days=30)
_FOREVER_MS = -1
_FLOORS = ("retention.ms", "min.insync.replicas")
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Volume:
    """How much comes to a topic, as a share of `PARTITIONS`, and how long it may be read again."""

    share: float
    kept: timedelta


VOLUMES: Mapping[Topic, Volume] = {
    VIDEOS_UPLOADED: Volume(1.0, timedelta(days=7)),
    VIDEOS_VERDICTS: Volume(1.0, timedelta(days=7)),
    VIDEOS_IMPRESSIONS: Volume(1.0, timedelta(days=3)),
    USERS_SESSIONS: Volume(0.5, timedelta(days=7)),
    USERS_REPORTS: Volume(0.5, timedelta(days=30)),
    EXPERIMENTS_EXPOSURES: Volume(0.5, timedelta(days=30)),
    CASES_OPENED: Volume(0.25, timedelta(days=90)),
    CASES_RULINGS: Volume(0.25, timedelta(days=90)),
    CASES_APPEALS: Volume(0.25, timedelta(days=90)),
}


@dataclass(frozen=True, slots=True)
class Declaration:
    """One topic as it must be, or as it is: partitions, copies of each, and those settings that are declared."""

    name: str
    partitions: int
    copies: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lack:
    """What a cluster lacks: topics, partitions by topic, settings by topic; and what only a person can mend."""

    topics: tuple[Declaration, ...] = ()
    partitions: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unmendable: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.topics or self.partitions or self.settings or self.unmendable)


def declared(*, brokers: int, partitions: int = PARTITIONS) -> tuple[Declaration, ...]:
    """Every topic and its dead letters for a cluster of so many brokers.

    From three brokers on each record has three copies and two must have it before it is confirmed: one node may be
    lost without a record or a pause. With fewer there is a copy each and one suffices.
    """
    copies = min(3, brokers)

    def one(name: str, share: float, kept: timedelta) -> Declaration:
        settings = {
            "cleanup.policy": "delete",
            "retention.ms": str(kept // _MS),
            "min.insync.replicas": "2" if copies == 3 else "1",
            "unclean.leader.election.enable": "false",
        }
        return Declaration(name, max(1, round(share * partitions)), copies, settings)

    return tuple(
        declaration
        for topic in TOPICS
        for declaration in (
            one(topic.name, VOLUMES[topic].share, VOLUMES[topic].kept),
            one(topic.dead, 0.0, DEAD_KEPT),
        )
    )


def lacking(wanted: Iterable[Declaration], found: Mapping[str, Declaration]) -> Lack:
    """What must be done to `found`, topics by name, so that it is at least what is wanted."""
    topics: list[Declaration] = []
    partitions: dict[str, int] = {}
    settings: dict[str, dict[str, str]] = {}
    unmendable: list[str] = []
    for want in wanted:
        have = found.get(want.name)
        if have is None:
            topics.append(want)
            continue
        if have.partitions < want.partitions:
            partitions[want.name] = want.partitions
        if have.copies < want.copies:
            unmendable.append(
                f"{want.name}: {have.copies} copies of each partition, must be {want.copies}: reassign its partitions"
            )
        low = {name: value for name, value in want.settings.items() if _below(name, have.settings.get(name), value)}
        if "cleanup.policy" in low:
            unmendable.append(
                f"{want.name}: cleanup.policy == {have.settings.get('cleanup.policy')!r}, must be"
                f" {low.pop('cleanup.policy')!r}: a compacted topic drops events, and what it kept may be older than"
                f" the retention: look first, then change it by hand"
            )
        if int(low.get("min.insync.replicas", 1)) > have.copies:
            del low["min.insync.replicas"]  # nothing could be confirmed; its copies are reported above
        if low:
            settings[want.name] = low
    return Lack(tuple(topics), partitions, settings, tuple(unmendable))


def _below(name: str, have: str | None, want: str) -> bool:
    if have is None or name not in _FLOORS:
        return have != want
    return int(have) < int(want) and not (name == "retention.ms" and int(have) == _FOREVER_MS)
