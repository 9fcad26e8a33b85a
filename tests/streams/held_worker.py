"""A worker as any other, but that it holds its batches at one step while a file is there.

`python -m tests.streams.held_worker FOLDER STEP`: where `FOLDER/hold` exists, a batch that comes to STEP (score, write
or send) says so in `FOLDER/held`, and goes on when `FOLDER/go` exists. Scores are by title, without a model.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.releases import Pin
from features.config import FeaturesConfig
from features.writer import open_writer
from policy.decide import judge
from serving.preprocess.inputs import ModelInputs
from serving.releases import ReleasesRoot
from serving.scorer import Scores
from streams.commands.foreground import ready
from streams.kafka.agents import AgentConfig
from streams.kafka.connection import Connection
from streams.kafka.delivery import ConfirmedProducer
from streams.moderation import Parts
from streams.worker.follower import ReleaseFollower
from streams.worker.patience import FeatureWriter, Outlets, Producer
from streams.worker.run import Assembly, run_worker
from tests.streams.stand_ins import DecoderByName, StandInScorer, toxic_by_title

GROUP = "fencing"
SESSION_S = 2.0


@dataclass(frozen=True, slots=True)
class Gate:
    """Where batches are held."""

    folder: Path

    async def pass_through(self) -> None:
        if (self.folder / "hold").exists():
            (self.folder / "held").touch()
            while not (self.folder / "go").exists():  # noqa: ASYNC110 - it is another process that sets it
                await asyncio.sleep(0.01)


class HeldScorer(StandInScorer):
    """Scores, and then is held."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    async def score(self, inputs: ModelInputs, pin: Pin) -> Scores:
        scores = await super().score(inputs, pin)
        await self.gate.pass_through()
        return scores


@dataclass(frozen=True, slots=True)
class HeldWriter:
    """Is held, and then writes."""

    writer: FeatureWriter
    gate: Gate

    async def write(self, verdicts: Sequence[Any]) -> object:
        await self.gate.pass_through()
        return await self.writer.write(verdicts)


@dataclass(frozen=True, slots=True)
class HeldProducer:
    """Is held, and then sends."""

    producer: Producer
    gate: Gate

    async def send(self, records: Sequence[Any]) -> None:
        await self.gate.pass_through()
        await self.producer.send(records)


def main(folder: Path, step: str) -> None:
    logging.basicConfig(level=logging.WARNING)
    broker = Connection.from_environment(os.environ)
    gate = Gate(folder)
    scorer = HeldScorer(gate) if step == "score" else StandInScorer()
    writer = open_writer(FeaturesConfig.from_environment(os.environ))
    producer = ConfirmedProducer(broker, client_id="held")

    async def close() -> None:
        producer.close()
        await writer.close()

    async def run() -> None:
        assembly = Assembly(
            Parts(DecoderByName(), toxic_by_title, scorer, judge),
            Outlets(
                HeldWriter(writer, gate) if step == "write" else writer,
                HeldProducer(producer, gate) if step == "send" else producer,
            ),
            ReleaseFollower(ReleasesRoot(folder / "releases"), scorer),
            reach_broker=producer.reach,
            close=close,
        )
        config = AgentConfig(broker, GROUP, session_timeout_s=SESSION_S)
        await run_worker(config, assembly, metrics_port=0, ready=lambda at: ready("worker", at, metrics=at))

    asyncio.run(run())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
