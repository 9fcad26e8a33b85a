"""What embeds pictures and texts in one space, so that a picture lies near the names of what it shows."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from policy.growth.pictures.decoding import Frame

Floats = npt.NDArray[np.float32]


class DualEncoder(Protocol):
    """A pair of encoders into one space of `dim` dimensions; `name` tells it from all that would answer otherwise."""

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def pictures(self, frames: Sequence[Frame]) -> Floats:
        """Embed B frames, uint8 [H, W, 3] of any sizes: [B, D], each of length 1."""
        ...

    def texts(self, texts: Sequence[str]) -> Floats:
        """Embed N texts: [N, D], each of length 1."""
        ...
