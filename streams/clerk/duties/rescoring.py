"""Fresh feedback in, later versions of uploads that carry it out: the worker scores them again like any upload.

A version is written down before it is sent, and crossed out when its delivery is confirmed: what was interrupted is
sent again byte for byte. While the workers are far behind (`streams.clerk.duties.shedding`) what was written down
waits, a round's worth of it at most: the others still stand in the warehouse's window, and are chosen when there is
room, with the feedback that they have by then.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from contracts.videos import VideoUploaded
from policy.cases.rescoring import DEFAULT_RESCORING, Counted, RescoringSettings, has_changed, to_rescore, with_feedback
from streams.clerk.duties.announcing import Delivery
from streams.clerk.duties.shedding import UNLIMITED, Gate
from streams.clerk.duties.weighing import Weighed
from streams.clerk.notebook import Notebook, Rescored
from streams.kafka.records import of_uploads

log = logging.getLogger(__name__)
DUTY = "rescore"


class Uploads(Protocol):
    """The newest version of each video that is known."""

    def uploads(self, video_ids: Collection[str]) -> Mapping[str, VideoUploaded]: ...


@dataclass(frozen=True, slots=True)
class RescoringRounds:
    """How many videos are sent in a round at most, and for how long it is remembered with what they were scored."""

    settings: RescoringSettings = DEFAULT_RESCORING
    at_most: int = 200
    remembered: timedelta = timedelta(days=30)


def rescore(
    archive: Uploads,
    weigh: Callable[[datetime], Weighed],
    notebook: Notebook,
    delivery: Delivery,
    *,
    now: datetime,
    rounds: RescoringRounds = RescoringRounds(),
    gate: Gate = UNLIMITED,
) -> int:
    """Send the videos whose feedback changed most to be scored again, as many as the gate allows; returns how many.

    What an upload brought with it counts as what it was scored with. A video without an upload in the warehouse is
    asked about again when its feedback changes once more.
    """
    allowed = gate.allowed(DUTY, now)
    sent = _send(notebook, delivery, at_most=allowed)
    waiting = notebook.n_unsent()
    seen = weigh(now).seen
    before = notebook.rescored([video.video_id for video in seen])
    changed = to_rescore(seen, before, at_most=len(seen), settings=rounds.settings)
    chosen = changed[: max(0, rounds.at_most - waiting)]
    uploads = archive.uploads([video.video_id for video in chosen])
    versions, settled = list[Rescored](), dict[str, Counted]()
    for video in chosen:
        counted = Counted.of(video)
        upload = uploads.get(video.video_id)
        told = _told(upload)
        if upload is None or (video.video_id not in before and told and not has_changed(video, told, rounds.settings)):
            settled[video.video_id] = told or counted
        else:
            versions.append(Rescored(with_feedback(upload, video, now=now), counted))
    notebook.counted(settled, now=now)
    notebook.rescore(versions, now=now, keep_after=now - rounds.remembered)
    sent += _send(notebook, delivery, at_most=allowed - sent)
    gate.left(DUTY, notebook.n_unsent() + len(changed) - len(chosen))
    return sent


def _told(upload: VideoUploaded | None) -> Counted | None:
    """The feedback that an upload came with."""
    if upload is None or upload.feedback is None:
        return None
    return Counted(upload.feedback.impressions, float(upload.feedback.reports))


def _send(notebook: Notebook, delivery: Delivery, *, at_most: int) -> int:
    versions: Sequence[VideoUploaded] = notebook.unsent(at_most=at_most)
    delivery.send_now(of_uploads(versions))
    notebook.sent(versions)
    return len(versions)
