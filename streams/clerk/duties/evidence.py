"""Cases that open in, cases with their evidence frozen out: the newest upload, and frames decoded now."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from contracts.cases import CaseOpened
from contracts.releases import InputShape
from contracts.videos import VideoUploaded
from policy.docket.files import NewCase
from serving.preprocess.media import Frames, MediaError
from streams.moderation import Decoder

log = logging.getLogger(__name__)


class Frozen(NamedTuple):
    """Cases with their evidence, how many of them lost their frames, and the videos whose upload is not known yet."""

    cases: list[NewCase]
    without_frames: int
    unknown: list[str]


async def freeze(
    opened: Sequence[CaseOpened],
    uploads_of: Callable[[Sequence[str]], Awaitable[Mapping[str, VideoUploaded]]],
    shape_of: Callable[[int], InputShape],
    decoder: Decoder,
) -> Frozen:
    """Join cases with uploads and frames, decoded as the release that judged them reads them.

    Media that cannot be decoded any more leave the case without frames, which the log says with the reason; raises
    `DependencyError` while the warehouse or the media store is away.
    """
    uploads = await uploads_of([case.video_id for case in opened])
    known = [case for case in opened if case.video_id in uploads]
    clips: dict[str, Frames] = {}
    lost = 0
    by_shape: dict[InputShape, list[CaseOpened]] = {}
    for case in known:
        if uploads[case.video_id].media_url is not None:
            by_shape.setdefault(shape_of(case.release_version), []).append(case)
    for shape, some in by_shape.items():
        addresses = [uploads[case.video_id].media_url or "" for case in some]
        for case, clip in zip(some, await decoder.decode(addresses, shape), strict=True):
            if isinstance(clip, MediaError):
                lost += 1
                log.warning("case %s opens without frames: %s", case.case_id, clip)
            else:
                clips[case.case_id] = clip
    cases = [NewCase(case, uploads[case.video_id], clips.get(case.case_id)) for case in known]
    return Frozen(cases, lost, [case.video_id for case in opened if case.video_id not in uploads])
