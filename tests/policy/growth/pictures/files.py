"""Pictures as files for the tests: painted from a seed, in any format."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def painted(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """A picture of 4 x 3 coloured squares."""
    squares = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(squares).resize((width, height), Image.Resampling.NEAREST)


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def folder_of(root: Path, n: int, *, start: int = 0) -> Path:
    """A folder of `n` different pictures, of all three formats, two levels deep."""
    for i in range(start, start + n):
        kind, suffix = (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"))[i % 3]
        place = root / f"{i % 2}" / f"{i:03d}.{suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encoded(painted(i), kind))
    return root
