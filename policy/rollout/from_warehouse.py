"""A warehouse client in, the figures that a rollout is judged by out."""

from datetime import datetime

from contracts.releases import Pin
from policy.rollout.figures import FiguresOf, Reported, RolloutFigures
from warehouse.canary import Queries, reported_by_release, unanswered
from warehouse.rollout import rollout_figures


def figures_from(client: Queries) -> FiguresOf:
    """Read figures from a warehouse; raises `DependencyError` where it does not answer."""

    def figures(*, live: Pin, candidate: Pin, since: datetime, now: datetime) -> RolloutFigures:
        ours, theirs = live.release_version, candidate.release_version
        stood, tried = reported_by_release(client, live=ours, candidate=theirs, since=since, as_of=now)
        beside = rollout_figures(client, live=ours, candidate=theirs, since=since, as_of=now)
        return RolloutFigures(
            Reported(*stood),
            Reported(*tried),
            beside.compared,
            beside.disagreeing,
            beside.stricter,
            unanswered(client, live=ours, since=since, as_of=now),
        )

    return figures
