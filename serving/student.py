"""The student: frames, hashed n-grams and signals in, 16 calibrated probabilities and an embedding out.

    n-grams -> tf-idf -> [ wide table -> 16 logits ] -----------------------+
                      -> [ projection -> text embedding ] --+               + -> temperature -> softmax
    frames  -> convolutions -> pooled over time ------------+-> fusion MLP -+
    signals -> scaled --------------------------------------+

Shapes: B videos, F frames of H x W pixels, L n-grams, V = 3 * buckets rows of the table, T text dimensions,
P picture dimensions. Everything a video lacks is masked by `present`, so that any part may be missing.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from contracts.taxonomy import N_CATEGORIES
from contracts.verdicts import MODALITIES
from serving.preprocess.inputs import SIGNALS

N_TEXT_FIELDS = 3
FRAMES = MODALITIES.index("frames")


@dataclass(frozen=True, slots=True)
class StudentShape:
    """Sizes of the student's parts; `fused` False leaves the wide table alone to speak."""

    buckets: int
    text_dim: int = 64
    picture_dim: int = 64
    hidden_dim: int = 128
    fused: bool = True

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class TextTower(nn.Module):
    """Hashed n-grams to wide logits and a text embedding, by one gather from one table.

    tf-idf as in scikit-learn's TfidfVectorizer with sublinear tf: (1 + log count) * idf, L2-normalised per field.
    Each of the table's V rows is (idf, 16 weights, T projections), so that one gather brings all three.
    """

    table: Tensor
    bias: Tensor

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        self.buckets = shape.buckets
        self.register_buffer("table", torch.zeros(N_TEXT_FIELDS * shape.buckets, 1 + N_CATEGORIES + shape.text_dim))
        self.register_buffer("bias", torch.zeros(N_CATEGORIES))

    def forward(self, ids_B_L: Tensor, counts_B_L: Tensor, present_B_M: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.table.index_select(0, ids_B_L.reshape(-1)).reshape(*ids_B_L.shape, self.table.shape[1])
        counts = counts_B_L.to(torch.float32)
        tf = torch.where(counts > 0, 1.0 + torch.log(counts.clamp(min=1.0)), torch.zeros_like(counts))
        weights = tf * rows[:, :, 0]
        field_B_L = torch.div(ids_B_L, self.buckets, rounding_mode="floor")
        scale = torch.zeros_like(weights)
        for field in range(N_TEXT_FIELDS):
            inside = (field_B_L == field).to(torch.float32) * present_B_M[:, 1 + field, None].to(torch.float32)
            norm = (weights * weights * inside).sum(dim=1, keepdim=True).clamp(min=1e-12).sqrt()
            scale = scale + inside / norm
        summed = torch.bmm((weights * scale)[:, None, :], rows).squeeze(1)
        return summed[:, 1 : 1 + N_CATEGORIES] + self.bias, summed[:, 1 + N_CATEGORIES :]


class PictureTower(nn.Module):
    """Frames to a picture embedding: one small network per frame, then mean, maximum and change over time."""

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        channels = (3, 16, 32, 64, 64)
        layers: list[nn.Module] = []
        for inward, outward in pairwise(channels):
            layers += [nn.Conv2d(inward, outward, 3, stride=2, padding=1), nn.BatchNorm2d(outward), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.project = nn.Linear(4 * channels[-1], shape.picture_dim)

    def forward(self, frames_B_F_H_W_C: Tensor, present_B_M: Tensor) -> Tensor:
        n_videos, n_frames, height, width, n_colours = frames_B_F_H_W_C.shape
        pixels = frames_B_F_H_W_C.reshape(n_videos * n_frames, height, width, n_colours).permute(0, 3, 1, 2)
        maps = self.layers(pixels.to(torch.float32) / 127.5 - 1.0)
        here = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        here = here.reshape(n_videos, n_frames, here.shape[1])
        shown = (frames_B_F_H_W_C.amax(dim=(2, 3, 4)) > 0).to(torch.float32)[:, :, None]
        total = shown.sum(dim=1).clamp(min=1.0)
        mean = (here * shown).sum(dim=1) / total
        spread = (((here - mean[:, None]) * shown).square().sum(dim=1) / total + 1e-6).sqrt()
        seen = present_B_M[:, FRAMES, None].to(torch.float32)
        projected: Tensor = self.project(torch.cat([mean, spread], dim=1))
        return projected * seen


class Student(nn.Module):
    """See the module's flow; `forward` gives `classifier` [B, 16] and `embedding` [B, D], L2-normalised."""

    signal_mean: Tensor
    signal_scale: Tensor
    log_temperature: Tensor
    class_bias: Tensor

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        self.shape = shape
        self.text = TextTower(shape)
        self.picture = PictureTower(shape)
        fused = N_CATEGORIES + shape.text_dim + shape.picture_dim + len(SIGNALS) + len(MODALITIES)
        self.fusion = nn.Sequential(
            nn.Linear(fused, shape.hidden_dim),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(shape.hidden_dim, shape.hidden_dim),
            nn.ReLU(),
        )
        self.head = nn.Linear(shape.hidden_dim, N_CATEGORIES)
        self.register_buffer("signal_mean", torch.zeros(len(SIGNALS)))
        self.register_buffer("signal_scale", torch.ones(len(SIGNALS)))
        self.register_buffer("log_temperature", torch.zeros(1))
        self.register_buffer("class_bias", torch.zeros(N_CATEGORIES))

    def fuse(
        self, wide_B_K: Tensor, text_B_T: Tensor, picture_B_P: Tensor, signals_B_S: Tensor, present_B_M: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits [B, 16] before calibration and the hidden layer [B, hidden] that they come from."""
        present = present_B_M.to(torch.float32)
        scaled = ((signals_B_S - self.signal_mean) / self.signal_scale).clamp(-5.0, 5.0)
        hidden: Tensor = self.fusion(torch.cat([wide_B_K, text_B_T, picture_B_P, scaled, present], dim=1))
        return wide_B_K + self.head(hidden), hidden

    def embed(self, text_B_T: Tensor, hidden_B_H: Tensor | None) -> Tensor:
        """The embedding that precedents are searched by: text, and what the fusion made of all, each of length 1."""
        return unit(text_B_T if hidden_B_H is None else torch.cat([unit(text_B_T), unit(hidden_B_H)], dim=1))

    def calibrated(self, logits_B_K: Tensor) -> Tensor:
        """Probabilities [B, 16] of logits, by temperature and class biases (Guo et al. 2017, section 4.2)."""
        return torch.softmax(logits_B_K * torch.exp(-self.log_temperature) + self.class_bias, dim=1)

    def forward(
        self,
        frames: Tensor,
        ngram_ids: Tensor,
        ngram_counts: Tensor,
        signals: Tensor,
        present: Tensor,
    ) -> tuple[Tensor, Tensor]:
        wide, text = self.text(ngram_ids, ngram_counts, present)
        if not self.shape.fused:
            return self.calibrated(wide), self.embed(text, None)
        picture = self.picture(frames, present)
        logits, hidden = self.fuse(wide, text, picture, signals, present)
        return self.calibrated(logits), self.embed(text, hidden)


def unit(vectors_B_D: Tensor) -> Tensor:
    """Rows scaled to length 1; a zero row stays zero."""
    return vectors_B_D / vectors_B_D.square().sum(dim=1, keepdim=True).clamp(min=1e-12).sqrt()
