"""Addresses and a docket's folder in, the clerk's duties out: the real warehouse, docket, decoder and producer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from contracts.cases import CaseAppealed
from contracts.errors import BadInputError
from contracts.topics import VIDEOS_UPLOADED
from policy.cases.opening import DEFAULT_OPENING
from policy.docket.docket import Docket
from policy.docket.principals import CLERK
from policy.rollout.from_warehouse import figures_from
from streams.clerk.archive import Archive
from streams.clerk.duties.announcing import announce
from streams.clerk.duties.hearing import hearing
from streams.clerk.duties.opening import Opening, OpeningRounds, with_salt
from streams.clerk.duties.prioritising import prioritise
from streams.clerk.duties.publishing import Publishing, Sampled
from streams.clerk.duties.rejudging import Rejudging
from streams.clerk.duties.rescoring import RescoringRounds, rescore
from streams.clerk.duties.shedding import Shedding, SheddingSettings
from streams.clerk.duties.watching import watching
from streams.clerk.duties.weighing import SharedLook, WindowSettings, weigh_window
from streams.clerk.metrics import ClerkMetrics
from streams.clerk.notebook import Notebook
from streams.clerk.rounds import Duty, aside
from streams.clerk.run import Assembly
from streams.clerk.shelf import ReleaseShelf
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer
from streams.kafka.lag import GroupLag
from streams.worker.assemble import PoolPerShape
from warehouse.address import WarehouseAddress

EVERY_S: Mapping[str, float] = MappingProxyType(
    {
        "announce": 0.5,
        "open": 5.0,
        "publish": 2.0,
        "rescore": 15.0,
        "rejudge": 3.0,
        "prioritise": 30.0,
        "watch": 10.0,
        "count": 5.0,
    }
)
"""How long each duty rests between two rounds, in seconds."""

WORKERS = "precedent-moderation"
"""The workers' consumer group, where the settings name no other."""

Blocking = Callable[[datetime], int]
"""A duty that is done in a thread; it returns how much it did."""


@dataclass(frozen=True, slots=True)
class ClerkConfig:
    """How the clerk works; `pace` multiplies every period, so that a small world can be run quickly."""

    salt: str
    pace: float = 1.0
    window: WindowSettings = WindowSettings()
    rescoring: RescoringRounds = RescoringRounds()
    shedding: SheddingSettings = SheddingSettings()
    decoders: int = 1
    every_s: Mapping[str, float] = field(default_factory=lambda: EVERY_S)

    def __post_init__(self) -> None:
        if not 0.0 < self.pace <= 100.0:
            raise BadInputError(f"pace == {self.pace}, must be over 0 and at most 100")


def assemble(
    config: ClerkConfig,
    *,
    broker: Connection,
    warehouse: WarehouseAddress,
    docket: Docket,
    notebook: Notebook,
    folder: Path,
    releases: Path,
    media_roots: tuple[Path, ...],
    publishes: bool = True,
    advances: bool = False,
    workers: str = WORKERS,
) -> Assembly:
    """Build the duties; connections are made when they are first used. `folder` is the docket's, `workers` their group.

    With `publishes` rulings become precedents of the releases that serve; with `advances` a candidate that showed
    enough gets its next seat, without it is only halted where it crosses a line.
    """
    archive, shelf = Archive(warehouse), ReleaseShelf(releases)
    producer = ConfirmedProducer(broker, client_id="precedent-clerk")
    decoder = PoolPerShape(media_roots, config.decoders)
    every_s = {name: config.pace * every_s for name, every_s in config.every_s.items()}
    if not publishes:
        del every_s["publish"]
    metrics = ClerkMetrics(every_s)
    look = SharedLook(
        lambda now: weigh_window(archive, folder, now=now, window=config.window),
        fresh_s=config.pace * config.window.fresh_s,
    )
    opening = Opening(
        archive,
        docket,
        docket,
        shelf,
        decoder,
        look,
        notebook,
        metrics,
        OpeningRounds(with_salt(DEFAULT_OPENING, config.salt)),
    )

    sampled = Sampled()
    publishing = Publishing(
        shelf.root,
        docket,
        lambda now: archive.recent(since=now - sampled.recent, until=now, at_most=sampled.at_most),
        media_roots,
    )
    lag = GroupLag(broker, VIDEOS_UPLOADED.name, workers)
    gate = Shedding(lag, notebook, metrics, config.shedding)
    rejudging = Rejudging(docket, archive, shelf, notebook, producer, gate)

    def count(now: datetime) -> int:
        depth = docket.depth()
        oldest_s = (now - depth.oldest_opened_at).total_seconds() if depth.oldest_opened_at else 0.0
        metrics.see_docket(waiting=depth.waiting, oldest_s=oldest_s, outbox=depth.outbox)
        return depth.waiting

    def hear(appeal: CaseAppealed) -> None:
        docket.appeal(appeal, CLERK)

    blocking: dict[str, Blocking] = {
        "announce": lambda _: announce(docket, producer),
        "rescore": lambda now: rescore(archive, look, notebook, producer, now=now, rounds=config.rescoring, gate=gate),
        "rejudge": rejudging.round,
        "prioritise": lambda now: prioritise(docket, archive, now=now),
        "count": count,
        "publish": publishing.round,
        "watch": watching(shelf.root, lambda: figures_from(archive.client), go_on=advances),
    }
    duties = [Duty(name, every_s[name], _in_thread(call)) for name, call in blocking.items() if name in every_s]
    duties.append(Duty("open", every_s["open"], lambda: opening.round(_now())))

    async def close() -> None:
        producer.close()
        lag.close()
        await decoder.close()

    return Assembly(duties, hearing(hear, producer, metrics, now=_now), metrics, producer.reach, close)


def _in_thread(call: Blocking) -> Callable[[], Awaitable[int]]:
    async def perform() -> int:
        return await aside(call, _now())

    return perform


def _now() -> datetime:
    return datetime.now(UTC)
