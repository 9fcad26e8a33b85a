"""Uploads and their decoded frames in, one `ModelInputs` out: the preprocessing of training and serving."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contracts.releases import InputShape
from contracts.videos import VideoUploaded
from serving.preprocess.inputs import N_LAYOUT, SIGNALS, ModelInputs
from serving.preprocess.text import hash_ngrams

NO_FRAMES_SHAPE = (1, 8, 8, 3)
"""A batch without any media sends one black 8 x 8 frame a video: 192 bytes instead of a hundred thousand."""


def preprocess(
    uploads: Sequence[VideoUploaded],
    frames: Sequence[npt.NDArray[np.uint8] | None],
    shape: InputShape,
) -> ModelInputs:
    """Make the tensors of B uploads.

    `frames[i]` is uint8 [f, S, S, 3] with 1 <= f <= `shape.n_frames` and S == `shape.frame_px`, or None where
    there is no media; missing frames are zero. Raises `ValueError` when a frame array has another shape.
    """
    titles = [upload.title or "" for upload in uploads]
    ocrs = [upload.ocr or "" for upload in uploads]
    asrs = [upload.asr or "" for upload in uploads]
    ids, counts = hash_ngrams(titles, ocrs, asrs, buckets=shape.text_buckets, max_ngrams=shape.max_ngrams)
    return ModelInputs(
        frames=_stack(frames, shape),
        ngram_ids=ids,
        ngram_counts=counts,
        signals=_signals(uploads, titles, ocrs, asrs),
        present=_present(uploads, frames),
    )


def _stack(frames: Sequence[npt.NDArray[np.uint8] | None], shape: InputShape) -> npt.NDArray[np.uint8]:
    if all(clip is None for clip in frames):
        return np.zeros((len(frames), *NO_FRAMES_SHAPE), np.uint8)
    one = (shape.frame_px, shape.frame_px, 3)
    stacked = np.zeros((len(frames), shape.n_frames, *one), np.uint8)
    for row, clip in enumerate(frames):
        if clip is None:
            continue
        if clip.shape[1:] != one or not 1 <= clip.shape[0] <= shape.n_frames:
            msg = f"frames[{row}].shape == {clip.shape}, must be (1..{shape.n_frames}, {one})"
            raise ValueError(msg)
        stacked[row, : len(clip)] = clip
    return stacked


def _present(uploads: Sequence[VideoUploaded], frames: Sequence[npt.NDArray[np.uint8] | None]) -> npt.NDArray[np.uint8]:
    return np.array(
        [
            (
                clip is not None,
                u.title is not None,
                u.ocr is not None,
                u.asr is not None,
                u.feedback is not None,
            )
            for u, clip in zip(uploads, frames, strict=True)
        ],
        np.uint8,
    ).reshape(len(uploads), 5)


def _signals(
    uploads: Sequence[VideoUploaded], titles: list[str], ocrs: list[str], asrs: list[str]
) -> npt.NDArray[np.float32]:
    layout = np.array(
        [
            (
                len(title),
                len(ocr),
                len(asr),
                title.count("#"),
                title.count("@"),
                upload.picture_count or 0,
                upload.picture_count is not None,
                ocr.count("|") + ocr.count("。"),
                asr.count("|"),
                _ascii_share(title + ocr + asr),
            )
            for upload, title, ocr, asr in zip(uploads, titles, ocrs, asrs, strict=True)
        ],
        np.float32,
    ).reshape(len(uploads), N_LAYOUT)
    counted = [i for i, name in enumerate(SIGNALS[:N_LAYOUT]) if name.startswith("log_")]
    layout[:, counted] = np.log1p(layout[:, counted])
    feedback = np.zeros((len(uploads), len(SIGNALS) - N_LAYOUT), np.float32)
    for row, upload in enumerate(uploads):
        if (seen := upload.feedback) is not None:
            counters = (seen.impressions, seen.reports, seen.likes, seen.skips)
            per_thousand = 1000.0 * (seen.reports + 0.5) / (seen.impressions + 500.0)
            feedback[row] = [math.log1p(value) for value in (*counters, per_thousand)]
    return np.concatenate([layout, feedback], axis=1)


def _ascii_share(text: str) -> float:
    if not text:
        return 0.0
    if text.isascii():
        return 1.0
    return len(text.encode("ascii", "ignore")) / len(text)
