"""Addresses in, a worker's parts out: the real scorer, decoder, feature writer, producer and release follower."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from contracts.releases import InputShape
from features.config import FeaturesConfig
from features.writer import open_writer
from policy.decide import decide_beside, judge
from serving.preprocess.batch import preprocess
from serving.preprocess.media import DecodePool, Frames, MediaError, PoolSettings
from serving.releases import ReleasesRoot
from serving.scorer import Scorer
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer
from streams.moderation import Parts
from streams.worker.candidate import CandidateOpinion
from streams.worker.follower import ReleaseFollower
from streams.worker.patience import Outlets
from streams.worker.run import Assembly

SCORER_DEADLINE_S = 3.0


class PoolPerShape:
    """Decodes to the input shape that the judging release asks for; a release of another shape gets a new pool."""

    def __init__(self, roots: tuple[Path, ...], n_workers: int) -> None:
        self._roots = roots
        self._n_workers = n_workers
        self._settings: PoolSettings | None = None
        self._pool: DecodePool | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of its workers."""
        return () if self._pool is None else self._pool.pids

    async def decode(self, urls: Sequence[str], shape: InputShape) -> Sequence[Frames | MediaError]:
        wanted = PoolSettings(self._roots, self._n_workers, shape.n_frames, shape.frame_px)
        if self._pool is None or self._settings != wanted:
            await self.close()
            self._settings, self._pool = wanted, DecodePool(wanted)
        return await self._pool.decode(urls)  # the first time, even for none, starts its processes

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()


def make_scorer(releases: Path, triton: str | None) -> Scorer:
    """Triton's client, or ONNX Runtime in this process where there is no Triton."""
    if triton is None:
        from serving.in_process import InProcessScorer

        return InProcessScorer(releases)
    from serving.triton.client import TritonScorer, TritonSettings

    return TritonScorer(triton, TritonSettings(deadline_s=SCORER_DEADLINE_S))


def assemble(
    scorer: Scorer,
    features: FeaturesConfig,
    *,
    broker: Connection,
    releases: Path,
    media_roots: tuple[Path, ...],
    decoders: int,
) -> Assembly:
    """Build the parts; connections are made when they are first used."""
    decoder = PoolPerShape(media_roots, decoders)
    writer = open_writer(features)
    producer = ConfirmedProducer(broker, client_id="precedent-worker")

    async def close() -> None:
        producer.close()
        await asyncio.gather(decoder.close(), scorer.close(), writer.close())

    return Assembly(
        Parts(decoder, preprocess, scorer, judge, CandidateOpinion(scorer, preprocess, decide_beside)),
        Outlets(writer, producer),
        ReleaseFollower(ReleasesRoot(releases), scorer),
        reach_broker=producer.reach,
        close=close,
    )
