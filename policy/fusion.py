"""Frames, text and signals of decided cases in, the student's fused part trained: a flat loop.

Left out on purpose: early stopping (the held-out cases belong to calibration), data-dependent learning rates,
mixed precision. The text's log-probabilities are given *out of sample*, so that the fusion learns how far to trust
words that it has not seen, not words that were learned by heart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from contracts.errors import BadInputError, CheckFailedError
from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from contracts.verdicts import MODALITIES
from serving.preprocess.inputs import N_LAYOUT, ModelInputs
from serving.student import FRAMES, Student

FEEDBACK = MODALITIES.index("feedback")
TEXTS = slice(1, 4)


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How the fused part is trained; `drop` is the chance that a whole modality is hidden from a case.

    frames_per_step: how many frames, chosen anew each step, a video is shown by; move: by which share of their side
    they are moved at most. picture_weight: what the picture's own guess at the label counts for, which teaches the
    convolutions before the fusion listens to them.
    """

    epochs: int = 14
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    drop: float = 0.1
    frames_per_step: int = 4
    move: float = 0.1
    binary_weight: float = 0.5
    picture_weight: float = 0.5


Weights = Mapping[str, npt.NDArray[np.float32]]
"""The fused part's parameters and buffers by name, without the text tower, which is fitted anew by itself."""


def weights_of(student: Student) -> dict[str, npt.NDArray[np.float32]]:
    """What a refresh begins from."""
    state = {name: tensor.detach().numpy() for name, tensor in student.state_dict().items() if _fused(name)}
    return {name: np.array(array, np.float32) for name, array in state.items()}


def mean_of(trainings: Sequence[Weights]) -> Weights:
    """The mean of trainings that began from one parent's weights, by name.

    They lie in one basin of the loss, where their mean is right about more than any of them (Wortsman et al., Model
    soups, ICML 2022, section 3).
    """
    return {name: np.mean([one[name] for one in trainings], axis=0, dtype=np.float32) for name in trainings[0]}


def write_weights(student: Student, path: Path) -> None:
    """Write them as arrays by name; no code lies in such a file, so none runs when it is read."""
    with path.open("wb") as file:
        np.savez(file, **weights_of(student))  # type: ignore[arg-type]


def read_weights(path: Path) -> Weights:
    """Read what `write_weights` wrote; raises `BadInputError` where the file is not such a one."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name], np.float32) for name in arrays.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise BadInputError(f"{path}: holds no weights to begin from: {error}") from error


def begin_from(student: Student, start: Weights) -> None:
    """Put a parent's weights in place; raises `BadInputError` where they are not those of such a student."""
    own = {name: tensor for name, tensor in student.state_dict().items() if _fused(name)}
    if start.keys() != own.keys():
        odd = min(start.keys() ^ own.keys())
        raise BadInputError(f"weights to begin from: {odd!r} is missing or too much, must be those of a fused student")
    for name, tensor in own.items():
        if start[name].shape != tuple(tensor.shape) or not np.isfinite(start[name]).all():
            rule = f"must be finite {tuple(tensor.shape)}"
            raise BadInputError(f"weights to begin from: {name!r} has shape {start[name].shape}, {rule}")
        tensor.copy_(torch.from_numpy(np.asarray(start[name])))


def _fused(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in {"picture", "fusion", "head", "signal_mean", "signal_scale"}


def moderation_loss(logits_B_K: Tensor, targets_B_K: Tensor, *, binary_weight: float) -> Tensor:
    """Mean cross-entropy to the targets plus `binary_weight` times that of violative against positive."""
    logp = torch.log_softmax(logits_B_K, dim=1)
    named = -(targets_B_K * logp).sum(dim=1).mean()
    p_positive = logp[:, POSITIVE_INDEX].exp().clamp(1e-6, 1 - 1e-6)
    return named + binary_weight * nn.functional.binary_cross_entropy(p_positive, targets_B_K[:, POSITIVE_INDEX])


def fit_fusion(
    student: Student,
    inputs: ModelInputs,
    words_N_K: npt.NDArray[np.float32],
    text_N_T: npt.NDArray[np.float32],
    targets_N_K: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    *,
    settings: FusionSettings,
    seed: int,
    start: Weights | None = None,
    tick: Callable[[str], None] = lambda _: None,
) -> None:
    """Train picture tower, fusion and head of `student` in place on the cases at `rows`, to their targets [N, 16].

    With `start` they begin from a parent's weights (`weights_of`), signals scaled as they were there. Raises
    `CheckFailedError` when training diverges.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    _begin(student, inputs.signals[rows], start)
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
            frames = moved(frames, rng, settings.move)
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
            logits = student.fuse(words, text, picture, signals, present)
            targets = torch.from_numpy(targets_N_K[chunk])
            _refuse_divergence(logits, epoch + 1)
            loss = moderation_loss(logits, targets, binary_weight=settings.binary_weight)
            if len(shown := torch.nonzero(present[:, FRAMES])[:, 0]):
                guess = moderation_loss(alone(picture[shown]), targets[shown], binary_weight=settings.binary_weight)
                loss = loss + settings.picture_weight * guess
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 5.0)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        tick(f"epoch {epoch + 1}/{settings.epochs}, loss {np.mean(losses):.3f}")
    student.eval()


def moved(frames_B_F_H_W_C: Tensor, rng: np.random.Generator, most: float) -> Tensor:
    """The frames, mirrored or not and moved by at most this share of their side, black where nothing came in.

    What a frame shows does not hang on where it shows it: without this, few pictures of a new kind are learned by
    their place.
    """
    frames = frames_B_F_H_W_C.flip(dims=(3,)) if rng.random() < 0.5 else frames_B_F_H_W_C
    shape = frames.shape
    down, right = (int(rng.integers(-round(most * side), round(most * side) + 1)) for side in shape[2:4])
    there = torch.zeros_like(frames)
    rows, columns = (slice(max(0, by), side + min(0, by)) for by, side in zip((down, right), shape[2:4], strict=True))
    from_rows, from_columns = (
        slice(max(0, -by), side + min(0, -by)) for by, side in zip((down, right), shape[2:4], strict=True)
    )
    there[:, :, rows, columns] = frames[:, :, from_rows, from_columns]
    return there


def _begin(student: Student, signals_N_S: npt.NDArray[np.float32], start: Weights | None) -> None:
    """From a parent's weights, or anew: signals scaled by those of the cases, a head that adds nothing yet."""
    if start is not None:
        begin_from(student, start)
        return
    student.signal_mean.copy_(torch.from_numpy(signals_N_S.mean(axis=0)))
    student.signal_scale.copy_(torch.from_numpy(np.maximum(signals_N_S.std(axis=0), 1e-3)))
    nn.init.zeros_(student.head.weight)
    nn.init.zeros_(student.head.bias)


def _refuse_divergence(logits_B_K: Tensor, epoch: int) -> None:
    if not bool(torch.isfinite(logits_B_K).all()):
        wrong = logits_B_K[~torch.isfinite(logits_B_K)][0].item()
        raise CheckFailedError(f"training diverged: a logit == {wrong} in epoch {epoch}, must be finite")


def _without_words(student: Student) -> Tensor:
    """What the text tower says of a video without a word: log-probabilities [16]."""
    nothing = torch.zeros((1, 1), dtype=torch.int32)
    present = torch.zeros((1, len(MODALITIES)), dtype=torch.uint8)
    with torch.no_grad():
        words, _, _ = student.text(nothing, nothing.to(torch.uint8), present)
    return words[0]
