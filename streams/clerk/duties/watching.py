"""The candidate's figures in, a halt where a line is crossed out; with leave, its next seat where it showed enough."""

import logging
from collections.abc import Callable
from datetime import datetime

from policy.rollout.figures import FiguresOf
from policy.rollout.watch import watch
from serving.releases import ReleasesRoot

log = logging.getLogger(__name__)


def watching(root: ReleasesRoot, figures: Callable[[], FiguresOf], *, go_on: bool = False) -> Callable[[datetime], int]:
    """A duty that looks once a round and returns how often it moved the pointer."""

    def look(now: datetime) -> int:
        found = watch(root, figures(), now=now, go_on=go_on, moved_by="clerk")
        if found.candidate is None or found.moved is None:
            return 0
        name = f"{found.seat} release {found.candidate.release_version}"
        if found.assessment.outcome == "halt":
            log.error("ALERT %s is halted: %s", name, found.assessment.reason)
        else:
            log.warning("%s has its next seat: %s", name, found.assessment.reason)
        return 1

    return look
