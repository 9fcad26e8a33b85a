"""Cases in, their outcomes in the same order out: a bounded number under way, and one that fails stops no other."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import BoundedSemaphore

from contracts.cases import DecidedCase
from contracts.errors import DependencyError
from policy.casebook import Frames
from policy.reasoning.endpoint import RefusedError
from policy.reasoning.teaching.desk import Halt, HaltedError
from policy.reasoning.teaching.pictures import Look
from policy.reasoning.teaching.rows import Dropped, Outcome
from serving.preprocess.media import MediaError

REFUSED = "refused by the endpoint"
CHUNK = 16
"""Cases decoded at once."""


def each_outcome(
    cases: Sequence[DecidedCase],
    follow: Callable[[DecidedCase, Frames], Outcome],
    look: Look,
    halt: Halt,
    *,
    parallel: int,
    advance: Callable[[int], None],
) -> list[Outcome]:
    """Follow `parallel` cases at once; the outcomes of those that came to one, in the order of the cases.

    A case whose media cannot be decoded, or whose request is refused, is dropped with the reason; one that the run's
    end or the endpoint's absence interrupts has no outcome. Any other error halts the run and is raised.
    """
    room = BoundedSemaphore(2 * parallel)  # of decoded cases: frames are large

    def work(case: DecidedCase, frames: Frames) -> Outcome | None:
        try:
            outcome: Outcome = follow(case, frames)
        except RefusedError as error:
            outcome = _dropped(case, REFUSED, str(error))
        except (HaltedError, DependencyError):
            return None
        except BaseException:
            halt.now()
            raise
        finally:
            room.release()
        advance(1)
        return outcome

    under_way = list["Future[Outcome | None] | Dropped"]()
    with ThreadPoolExecutor(parallel) as threads:
        try:
            for case, seen in _seen(cases, look):
                if isinstance(seen, MediaError):
                    under_way.append(_dropped(case, f"media: {seen.reason.value}", str(seen)))
                    advance(1)
                    continue
                room.acquire()
                if halt.halted:
                    break
                under_way.append(threads.submit(work, case, seen))
        except BaseException:  # an interrupt too: what is under way ends with the answer that it waits for
            halt.now()
            raise
    outcomes = [one if isinstance(one, Dropped) else one.result() for one in under_way]
    return [one for one in outcomes if one is not None]


def _seen(cases: Sequence[DecidedCase], look: Look) -> Iterator[tuple[DecidedCase, Frames | MediaError]]:
    waiting = iter(cases)
    while some := list(islice(waiting, CHUNK)):
        yield from zip(some, look(some), strict=True)


def _dropped(case: DecidedCase, reason: str, detail: str) -> Dropped:
    return Dropped(case_id=case.case_id, category=case.category, reason=reason, detail=detail)
