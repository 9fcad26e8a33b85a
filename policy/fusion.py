"""Frames, text and signals of decided cases in, the student's fused part trained: a flat loop.

Left out on purpose: early stopping (the held-out cases belong to calibration), data-dependent learning rates,
mixed precision. The text's log-probabilities are given *out of sample*, so that the fusion learns how far to trust
words that it has not seen, not words that were learned by heart.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from contracts.verdicts import MODALITIES
from serving.preprocess.inputs import N_LAYOUT, ModelInputs
from serving.student import FRAMES, Student

FEEDBACK = MODALITIES.index("feedback")
TEXTS = slice(1, 4)


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How the fused part is trained; `drop` is the chance that a whole modality is hidden from a case,
    `frames_per_step` how many frames, chosen anew each step, a video is shown by, `picture_weight` what the
    picture's own guess at the label counts for: it teaches the convolutions before the fusion listens to them.
    """

    epochs: int = 14
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    drop: float = 0.1
    frames_per_step: int = 4
    binary_weight: float = 0.5
    picture_weight: float = 0.5


def moderation_loss(logits_B_K: Tensor, labels_B: Tensor, *, binary_weight: float) -> Tensor:
    """Mean cross-entropy over the 16 labels plus `binary_weight` times that of violative against positive."""
    logp = torch.log_softmax(logits_B_K, dim=1)
    named = nn.functional.nll_loss(logp, labels_B)
    p_positive = logp[:, POSITIVE_INDEX].exp().clamp(1e-6, 1 - 1e-6)
    is_positive = (labels_B == POSITIVE_INDEX).to(logp.dtype)
    return named + binary_weight * nn.functional.binary_cross_entropy(p_positive, is_positive)


def fit_fusion(
    student: Student,
    inputs: ModelInputs,
    words_N_K: npt.NDArray[np.float32],
    text_N_T: npt.NDArray[np.float32],
    labels_N: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    *,
    settings: FusionSettings,
    seed: int,
    tick: Callable[[str], None] = lambda _: None,
) -> None:
    """Train picture tower, fusion and head of `student` in place on the cases at `rows`."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    seen = inputs.signals[rows]
    student.signal_mean.copy_(torch.from_numpy(seen.mean(axis=0)))
    student.signal_scale.copy_(torch.from_numpy(np.maximum(seen.std(axis=0), 1e-3)))
    nn.init.zeros_(student.head.weight)
    nn.init.zeros_(student.head.bias)
    alone = nn.Linear(student.shape.picture_dim, N_CATEGORIES)
    modules = (student.picture, student.fusion, student.head, alone)
    trained = [parameter for module in modules for parameter in module.parameters()]
    optimiser = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * (len(rows) // settings.batch + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.learning_rate, total_steps=steps)
    speechless = _without_words(student)
    student.train()
    for epoch in range(settings.epochs):
        losses = []
        for unsorted in np.array_split(rng.permutation(rows), len(rows) // settings.batch + 1):
            chunk = np.sort(unsorted)
            some = np.sort(rng.permutation(inputs.frames.shape[1])[: settings.frames_per_step])
            frames = torch.from_numpy(inputs.frames[chunk][:, some])
            if rng.random() < 0.5:
                frames = frames.flip(dims=(3,))
            present = torch.from_numpy(inputs.present[chunk]).clone()
            signals = torch.from_numpy(inputs.signals[chunk]).clone()
            words = torch.from_numpy(words_N_K[chunk]).clone()
            text = torch.from_numpy(text_N_T[chunk]).clone()
            hide = torch.from_numpy(rng.random((len(chunk), 3)) < settings.drop)
            present[hide[:, 0], FRAMES] = 0
            present[hide[:, 1], TEXTS] = 0
            words[hide[:, 1]] = speechless
            text[hide[:, 1]] = 0
            present[hide[:, 2], FEEDBACK] = 0
            signals[hide[:, 2], N_LAYOUT:] = 0
            picture = student.picture(frames, present)
            logits, _ = student.fuse(words, text, picture, signals, present)
            labels = torch.from_numpy(labels_N[chunk])
            loss = moderation_loss(logits, labels, binary_weight=settings.binary_weight)
            if len(shown := torch.nonzero(present[:, FRAMES])[:, 0]):
                guess = moderation_loss(alone(picture[shown]), labels[shown], binary_weight=settings.binary_weight)
                loss = loss + settings.picture_weight * guess
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 5.0)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        tick(f"epoch {epoch + 1}/{settings.epochs}, loss {np.mean(losses):.3f}")
    student.eval()


def _without_words(student: Student) -> Tensor:
    """What the text tower says of a video without a word: log-probabilities [16]."""
    nothing = torch.zeros((1, 1), dtype=torch.int32)
    present = torch.zeros((1, len(MODALITIES)), dtype=torch.uint8)
    with torch.no_grad():
        words, _ = student.text(nothing, nothing.to(torch.uint8), present)
    return words[0]
