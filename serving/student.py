"""The student: frames, hashed n-grams and signals in, 16 calibrated probabilities and an embedding out.

    n-grams -> tf-idf -> [ words and topics -> 16 log-probabilities ] ------+
                      -> [ topics ] ------------------------+               + -> temperature -> softmax
    frames  -> convolutions -> pooled over time ------------+-> fusion MLP -+
    signals -> scaled --------------------------------------+

Shapes: B videos, F frames of H x W pixels, L n-grams, V = 3 * buckets rows of the table, T topics,
P picture dimensions. Everything a video lacks is masked by `present`, so that any part may be missing.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from contracts.verdicts import MODALITIES
from serving.preprocess.inputs import SIGNALS

N_TEXT_FIELDS = 3
FRAMES = MODALITIES.index("frames")


@dataclass(frozen=True, slots=True)
class StudentShape:
    """Sizes of the student's parts; `fused` False leaves the wide table alone to speak."""

    buckets: int
    n_topics: int = 0
    n_projected: int = 32
    picture_dim: int = 64
    hidden_dim: int = 128
    fused: bool = True

    @property
    def topic_dim(self) -> int:
        """Length of what is known of the topics: those of each field and of all."""
        return (N_TEXT_FIELDS + 1) * self.n_topics

    @property
    def table_columns(self) -> int:
        return 1 + N_CATEGORIES + self.n_topics + self.n_projected

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class TextTower(nn.Module):
    """Hashed n-grams to 16 log-probabilities, topics and an embedding, by one gather from one table.

    Each row of the table is (idf, 16 weights, topics, projection). Per field f, with t = 1 + log(count):

        x_f = t * idf, L2-normalised          words, as scikit-learn's TfidfVectorizer with sublinear tf
        h_f = sum of t * idf * topics, L2-normalised;   h = the sum over fields, L2-normalised
        z   = weights . x + heads . (h_title, h_ocr, h_asr, h) + bias

    `z` is 15 logits for the category given that it is violative, and the logit of positive against violative, so
    that p(k) = sigmoid(-z_positive) * softmax15(z)_k.
    """

    table: Tensor
    heads: Tensor
    bias: Tensor

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("table", torch.zeros(N_TEXT_FIELDS * shape.buckets, shape.table_columns))
        self.register_buffer("heads", torch.zeros(shape.topic_dim, N_CATEGORIES))
        self.register_buffer("bias", torch.zeros(N_CATEGORIES))

    def forward(self, ids_B_L: Tensor, counts_B_L: Tensor, present_B_M: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities [B, 16], topics [B, 4 * n_topics], embedding [B, n_topics + n_projected]."""
        rows = self.table.index_select(0, ids_B_L.reshape(-1)).reshape(*ids_B_L.shape, self.table.shape[1])
        counts = counts_B_L.to(torch.float32)
        tf = torch.where(counts > 0, 1.0 + torch.log(counts.clamp(min=1.0)), torch.zeros_like(counts))
        weights = tf * rows[:, :, 0]
        field_B_L = torch.div(ids_B_L, self.shape.buckets, rounding_mode="floor")
        there = present_B_M[:, 1 : 1 + N_TEXT_FIELDS].to(torch.float32)
        by_field = torch.stack(
            [weights * (field_B_L == field).to(torch.float32) for field in range(N_TEXT_FIELDS)], dim=1
        )
        by_field = by_field * there[:, :, None]
        summed = torch.bmm(by_field, rows)
        normed = summed / length_of(by_field)
        topics_from = 1 + N_CATEGORIES
        projected_from = topics_from + self.shape.n_topics
        topics_of = unit(summed[:, :, topics_from:projected_from])
        topics = unit(topics_of.sum(dim=1))
        all_topics = torch.cat([topics_of.flatten(1), topics], dim=1)
        z = normed[:, :, 1:topics_from].sum(dim=1) + all_topics @ self.heads + self.bias
        projected = unit(normed[:, :, projected_from:].sum(dim=1))
        return log_probabilities(z), all_topics, torch.cat([topics, projected], dim=1)


def log_probabilities(z_B_16: Tensor) -> Tensor:
    """Log p of each category from (15 logits given violative, the negated logit of violative)."""
    given_violative = torch.log_softmax(z_B_16[:, :POSITIVE_INDEX], dim=1)
    p_positive = nn.functional.logsigmoid(z_B_16[:, POSITIVE_INDEX:])
    p_violative = nn.functional.logsigmoid(-z_B_16[:, POSITIVE_INDEX:])
    return torch.cat([given_violative + p_violative, p_positive], dim=1)


def length_of(vectors: Tensor) -> Tensor:
    """L2 length along the last dimension, kept, and never zero."""
    return vectors.square().sum(dim=-1, keepdim=True).clamp(min=1e-12).sqrt()


def unit(vectors: Tensor) -> Tensor:
    """Vectors scaled to length 1 along the last dimension; a zero vector stays zero."""
    return vectors / length_of(vectors)


class PictureTower(nn.Module):
    """Frames to a picture embedding: one small network per frame, then mean, maximum and change over time."""

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        channels = (3, 16, 32, 64, 64)
        layers: list[nn.Module] = []
        for inward, outward in pairwise(channels):
            layers += [nn.Conv2d(inward, outward, 3, stride=2, padding=1), nn.BatchNorm2d(outward), nn.ReLU()]
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)
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
        fused = N_CATEGORIES + shape.topic_dim + shape.picture_dim + len(SIGNALS) + len(MODALITIES)
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
        self, words_B_K: Tensor, topics_B_T: Tensor, picture_B_P: Tensor, signals_B_S: Tensor, present_B_M: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits [B, 16] before calibration and the hidden layer [B, hidden] that they come from."""
        present = present_B_M.to(torch.float32)
        scaled = ((signals_B_S - self.signal_mean) / self.signal_scale).clamp(-5.0, 5.0)
        hidden: Tensor = self.fusion(torch.cat([words_B_K, topics_B_T, picture_B_P, scaled, present], dim=1))
        return words_B_K + self.head(hidden), hidden

    def embed(self, text_B_T: Tensor, hidden_B_H: Tensor | None) -> Tensor:
        """What precedents are searched by: the text's embedding, and what the fusion made of everything."""
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
        words, topics, text = self.text(ngram_ids, ngram_counts, present)
        if not self.shape.fused:
            return self.calibrated(words), self.embed(text, None)
        picture = self.picture(frames, present)
        logits, hidden = self.fuse(words, topics, picture, signals, present)
        return self.calibrated(logits), self.embed(text, hidden)
