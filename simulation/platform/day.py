"""What happened on one day of a world, as columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one day, as columns.

    Sessions S, in order of viewer and time: viewer_S, slot_S (0 to 3), surface_S (index into `SURFACES`), arm_S
    (`OUTSIDE` where none is in force), started_ms_S and ended_ms_S (of the day).
    Impressions I, in order of session and time: session_I (row of S), position_I, video_I, shown_ms_I, watch_ms_I,
    toxicity_I (as served, NaN where unknown), reported_I.
    release_A: whose scores each arm was served, as `Served` has it.
    """

    day: int
    viewer_S: npt.NDArray[np.int64]
    slot_S: npt.NDArray[np.int64]
    surface_S: npt.NDArray[np.int8]
    arm_S: npt.NDArray[np.int8]
    started_ms_S: npt.NDArray[np.int64]
    ended_ms_S: npt.NDArray[np.int64]
    session_I: npt.NDArray[np.int64]
    position_I: npt.NDArray[np.int64]
    video_I: npt.NDArray[np.int32]
    shown_ms_I: npt.NDArray[np.int64]
    watch_ms_I: npt.NDArray[np.int32]
    toxicity_I: npt.NDArray[np.float32]
    reported_I: npt.NDArray[np.bool_]
    release_A: tuple[int, ...] = ()

    @property
    def viewers_of_impressions(self) -> npt.NDArray[np.int64]:
        return self.viewer_S[self.session_I]

    def releases_of_impressions(self, default: int) -> npt.NDArray[np.uint32]:
        """The version of the release whose scores each impression was ranked by: uint32 [I]."""
        by_arm = np.array(self.release_A or (default,), np.uint32)
        return by_arm[np.minimum(np.maximum(self.arm_S[self.session_I], 0), len(by_arm) - 1)]
