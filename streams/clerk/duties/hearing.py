"""Appeals from Kafka in, appeals on the docket out, acknowledged when they are entered; those refused are told why.

What breaks the contract gets its dead letter from the recorder, which reads the topic too; here it is counted alone.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from contracts.cases import CaseAppealed
from contracts.dead_letters import DeadLetter, DeadReason
from contracts.errors import BadInputError
from contracts.topics import CASES_APPEALS
from streams import edge
from streams.clerk.rounds import aside
from streams.kafka.agents import Carry
from streams.kafka.records import of_letters
from streams.worker.patience import AbandonedError, Patience, Producer, WaitingGauge

log = logging.getLogger(__name__)


class AppealGauges(WaitingGauge, Protocol):
    """Counts what became of appeals."""

    def appealed(self, *, heard: int, refused: int) -> None: ...


def hearing(
    enter: Callable[[CaseAppealed], None], producer: Producer, gauges: AppealGauges, *, now: Callable[[], datetime]
) -> Carry:
    """A carrier of appeals to `enter`, and of those that it refuses to the dead letters.

    `enter` may be given an appeal again; it raises `BadInputError` to refuse one, `DependencyError` to be asked again.
    """

    async def carry(batch: Sequence[edge.RawEvent], ours: Callable[[], bool]) -> bool:
        through = edge.read(batch, CASES_APPEALS, now())
        patience = Patience(gauges, abandoned=lambda: not ours())
        letters = list[DeadLetter]()
        try:
            for raw, appeal in through.accepted:
                assert isinstance(appeal, CaseAppealed)
                letter = await patience.until_done("docket", partial(hear, raw, appeal))
                letters += [letter] if letter else []
            await patience.until_done("broker", lambda: producer.send(of_letters(letters)))
        except AbandonedError as error:
            log.warning("let go of %d appeals: %s", len(batch), error)
            return False
        refused = len(letters) + len(through.dead)
        gauges.appealed(heard=len(batch) - refused, refused=refused)
        return True

    async def hear(raw: edge.RawEvent, appeal: CaseAppealed) -> DeadLetter | None:
        try:
            await aside(enter, appeal)
        except BadInputError as error:
            return edge.bury(raw, DeadReason.REFUSED, "appeal", str(error), now())
        return None

    return carry
