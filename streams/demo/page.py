"""The demo's summary in, one self-contained HTML page out: no script, no address outside itself."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined

from contracts.cases import DecidedCase
from contracts.taxonomy import Category
from contracts.verdicts import Decision, Verdict
from contracts.videos import VideoUploaded
from serving.preprocess.media import decode_frames
from streams.demo.summary import DemoSummary

_TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True, slots=True)
class Example:
    """A verdict to look at: what the uploader wrote, a picture of it as a data address, and what it truly is."""

    verdict: Verdict
    title: str
    picture: str
    truth: Category


def render(summary: DemoSummary, examples: Sequence[Example], titles_of_cases: Mapping[str, str]) -> str:
    """Render the page; everything an uploader wrote is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        summary=summary, examples=examples, decisions=list(Decision), titles_of_cases=titles_of_cases
    )


def examples_of(verdicts: Sequence[Verdict], live: Sequence[DecidedCase], n: int = 9) -> list[Example]:
    """Verdicts to look at: the strictest, the mildest and some between."""
    cases = {case.upload.video_id: case for case in live}
    by_toxicity = sorted(verdicts, key=lambda verdict: -verdict.toxicity)
    places = np.unique(np.linspace(0, len(by_toxicity) - 1, n).astype(int)) if by_toxicity else ()
    return [
        Example(verdict, words_of(case.upload), picture_of(case.upload), case.category)
        for verdict, case in ((by_toxicity[i], cases[by_toxicity[i].video_id]) for i in places)
    ]


def words_of(upload: VideoUploaded, most: int = 120) -> str:
    """What was written of a video, cut short."""
    words = upload.title or upload.ocr or upload.asr or ""
    return words if len(words) <= most else f"{words[:most]}…"


def picture_of(upload: VideoUploaded) -> str:
    """A frame from the middle of the clip as a data address, "" where there is no clip."""
    if upload.media_url is None:
        return ""
    frames = decode_frames(Path(upload.media_url.removeprefix("file://")))
    return f"data:image/png;base64,{base64.b64encode(_png(frames[len(frames) // 2])).decode()}"


def _png(pixels_H_W_3: npt.NDArray[np.uint8]) -> bytes:
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = pixels_H_W_3.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1, 1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels_H_W_3), format="rgb24")
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
