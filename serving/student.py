"""The student: frames, hashed n-grams and signals in, 16 calibrated probabilities and an embedding out.

    n-grams -> tf-idf -> [ words, and the vote of like cases -> 16 log-probabilities ] -+
                      -> [ projection ] --------------------+                           + -> temperature -> softmax
    frames  -> convolutions -> pooled over time ------------+-> fusion MLP -------------+
    signals -> scaled --------------------------------------+

Shapes: B videos, F frames of H x W pixels, L n-grams, V = 3 * buckets rows of the table, T text dimensions,
P picture dimensions. Everything a video lacks is masked by `present`, so that any part may be missing.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from contracts.verdicts import MODALITIES
from serving.preprocess.inputs import SIGNALS

N_TEXT_FIELDS = 3
VOTE_SHARPNESS = 3.0
MOST_CERTAIN = 10.0
FRAMES = MODALITIES.index("frames")
TEXT_LIKE, UNSEEN_LIKE, PICTURE_LIKE = 0.7, 2.0, 1.0
"""What each part of the embedding weighs when precedents are searched by it; chosen on simulated trends of seed 601.

There 20 precedents find 0.74 of a trend's videos with these, and 0.49 by text and the fusion's hidden layer alone. The
more new words weigh, the more are found (0.80 at 2.5), and the fewer near copies of a text that was edited are.
"""


@dataclass(frozen=True, slots=True)
class StudentShape:
    """Sizes of the student's parts; without `fused` the text alone speaks."""

    buckets: int
    text_dim: int = 128
    n_taught: int = 2_048
    picture_dim: int = 64
    hidden_dim: int = 128
    fused: bool = True

    @property
    def unseen_dim(self) -> int:
        """Dimensions for words that nobody taught."""
        return min(64, self.text_dim)


class TextTower(nn.Module):
    """Hashed n-grams to 16 log-probabilities and an embedding, by one gather from one table.

    Each row of the table is (idf, 16 weights, T projections). With t = 1 + log(count), per field f:

        x_f = t * idf, L2-normalised          words, as scikit-learn's TfidfVectorizer with sublinear tf
        e   = unit(projection of x / |x| - shift)        whitened latent semantics: its directions have equal variance
        v   = log odds of violative among the taught cases, each weighted by exp(sharpness * e . e_case)

    The vote `v` and the linear logit of the words are two views of one question; `stack` weighs them. `z` is 15
    logits for the category given that it is violative, and the logit of positive against violative, so that
    p(k) = sigmoid(-z_positive) * softmax15(z)_k.

    Rows of n-grams that nobody taught have no idf and teach nothing, but hold a direction of chance in place of a
    projection: videos that share new words are near each other (a random projection keeps inner products: Johnson and
    Lindenstrauss 1984) before anything was learned about them. `unseen_idf` is what such words weigh.
    """

    table: Tensor
    bias: Tensor
    shift: Tensor
    taught: Tensor
    taught_violative: Tensor
    stack: Tensor
    unseen_idf: Tensor

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        self.shape = shape
        rows = N_TEXT_FIELDS * shape.buckets
        self.register_buffer("table", torch.zeros(rows, 1 + N_CATEGORIES + shape.text_dim))
        self.register_buffer("bias", torch.zeros(N_CATEGORIES))
        self.register_buffer("shift", torch.zeros(shape.text_dim))
        self.register_buffer("taught", torch.zeros(shape.n_taught, shape.text_dim))
        self.register_buffer("taught_violative", torch.full((shape.n_taught,), 0.5))
        self.register_buffer("stack", torch.tensor([0.0, 1.0, 0.0]))
        self.register_buffer("unseen_idf", torch.zeros(1))

    def forward(self, ids_B_L: Tensor, counts_B_L: Tensor, present_B_M: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities [B, 16], the embedding [B, T], and what is said in words that nobody taught [B, U].

        Videos without a word are all alike. The third is as long as the new words' share of all that is said, so that
        videos without new words have none, and are as near each other as ever.
        """
        rows = self.table.index_select(0, ids_B_L.reshape(-1)).reshape(*ids_B_L.shape, self.table.shape[1])
        counts = counts_B_L.to(torch.float32)
        tf = torch.where(counts > 0, 1.0 + torch.log(counts.clamp(min=1.0)), torch.zeros_like(counts))
        weights = tf * rows[:, :, 0]
        field_B_L = torch.div(ids_B_L, self.shape.buckets, rounding_mode="floor")
        scale = torch.zeros_like(weights)
        read = torch.zeros_like(weights)
        fields = torch.zeros_like(weights[:, :1])
        for field in range(N_TEXT_FIELDS):
            inside = (field_B_L == field).to(torch.float32) * present_B_M[:, 1 + field, None].to(torch.float32)
            square = (weights * weights * inside).sum(dim=1, keepdim=True)
            scale = scale + inside / square.clamp(min=1e-12).sqrt()
            read = read + inside
            fields = fields + (square > 1e-12).to(torch.float32)
        new = tf * read * (rows[:, :, 0] == 0).to(torch.float32) * self.unseen_idf
        both = torch.bmm(torch.stack([weights * scale, new], dim=1), rows)
        summed = both[:, 0]
        square = new.square().sum(dim=1, keepdim=True)
        said = square + (weights * read).square().sum(dim=1, keepdim=True)
        unseen = unit(both[:, 1, 1 + N_CATEGORIES :][:, : self.shape.unseen_dim])
        unseen = unseen * (square / said.clamp(min=1e-6)).sqrt()
        projected = summed[:, 1 + N_CATEGORIES :] / fields.clamp(min=1.0).sqrt() - self.shift
        embedding = unit(projected)
        words = summed[:, 1 : 1 + N_CATEGORIES] + self.bias
        vote = torch.exp(VOTE_SHARPNESS * (embedding @ self.taught.T))
        violative = (vote @ self.taught_violative[:, None]) / vote.sum(dim=1, keepdim=True)
        violative = violative.clamp(1e-4, 1.0 - 1e-4)
        odds = torch.log(1.0 - violative) - torch.log(violative)
        positive = self.stack[0] * odds + self.stack[1] * words[:, POSITIVE_INDEX:] + self.stack[2]
        return log_probabilities(torch.cat([words[:, :POSITIVE_INDEX], positive], dim=1)), embedding, unseen


def log_probabilities(z_B_16: Tensor) -> Tensor:
    """Log p of each category from (15 logits given violative, the logit of positive), none below about -20.

    The logit of positive is held within +-`MOST_CERTAIN`: words alone never make a video certain.
    """
    positive = z_B_16[:, POSITIVE_INDEX:].clamp(-MOST_CERTAIN, MOST_CERTAIN)
    given = z_B_16[:, :POSITIVE_INDEX].clamp(-MOST_CERTAIN, MOST_CERTAIN)
    given_violative = given - torch.logsumexp(given, dim=1, keepdim=True)
    return torch.cat([given_violative - softplus(positive), -softplus(-positive)], dim=1)


def softplus(x: Tensor) -> Tensor:
    """Compute log(1 + e^x) in a way that overflows nowhere, exported or not."""
    return x.clamp(min=0.0) + torch.log(1.0 + torch.exp(-x.abs()))


def length_of(vectors: Tensor) -> Tensor:
    """L2 length along the last dimension, kept, and never zero."""
    return vectors.square().sum(dim=-1, keepdim=True).clamp(min=1e-12).sqrt()


def unit(vectors: Tensor) -> Tensor:
    """Vectors scaled to length 1 along the last dimension; a zero vector stays zero."""
    return vectors / length_of(vectors)


class PixelConv(nn.Conv2d):
    """A convolution of raw pixels in [0, 255]; the scale lies in its weights, which an export folds into one constant.

    Pixels are not centred: batch normalisation follows, and the padding is black as a letterbox is.
    """

    def forward(self, pixels: Tensor) -> Tensor:
        return self._conv_forward(pixels, self.weight / 127.5, self.bias)


class PictureTower(nn.Module):
    """Frames to a picture embedding: one small network per frame, then mean, maximum and change over time."""

    def __init__(self, shape: StudentShape) -> None:
        super().__init__()
        channels = (3, 16, 32, 64, 64)
        layers: list[nn.Module] = []
        for inward, outward in pairwise(channels):
            convolution = nn.Conv2d if layers else PixelConv
            layers += [convolution(inward, outward, 3, stride=2, padding=1), nn.BatchNorm2d(outward), nn.ReLU()]
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.project = nn.Linear(4 * channels[-1], shape.picture_dim)

    def forward(self, frames_B_F_H_W_C: Tensor, present_B_M: Tensor) -> Tensor:
        n_videos, n_frames, height, width, n_colours = frames_B_F_H_W_C.shape
        pixels = frames_B_F_H_W_C.reshape(n_videos * n_frames, height, width, n_colours).permute(0, 3, 1, 2)
        maps = self.layers(pixels.to(torch.float32))
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
    picture_mean: Tensor
    picture_whitening: Tensor

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
        self.register_buffer("picture_mean", torch.zeros(shape.picture_dim))
        self.register_buffer("picture_whitening", torch.eye(shape.picture_dim))

    def fuse(
        self, words_B_K: Tensor, text_B_T: Tensor, picture_B_P: Tensor, signals_B_S: Tensor, present_B_M: Tensor
    ) -> Tensor:
        """Logits [B, 16] before calibration."""
        present = present_B_M.to(torch.float32)
        scaled = ((signals_B_S - self.signal_mean) / self.signal_scale).clamp(-5.0, 5.0)
        hidden: Tensor = self.fusion(torch.cat([words_B_K, text_B_T, picture_B_P, scaled, present], dim=1))
        logits: Tensor = words_B_K + self.head(hidden)
        return logits

    def embed(self, text_B_T: Tensor, unseen_B_U: Tensor, picture_B_P: Tensor | None) -> Tensor:
        """What precedents are searched by: the words, those that nobody taught, and the picture, if pictures are read.

        The picture is whitened, as the text is: what few taught videos show, such as a new scene, then counts as much
        as what tells the known categories apart. A video without a picture has none.
        """
        parts = [TEXT_LIKE * unit(text_B_T), UNSEEN_LIKE * unseen_B_U]
        if picture_B_P is not None:
            seen = (picture_B_P.square().sum(dim=1, keepdim=True) > 0).to(torch.float32)
            white = (picture_B_P - self.picture_mean) @ self.picture_whitening
            parts.append(PICTURE_LIKE * seen * unit(white))
        return unit(torch.cat(parts, dim=1))

    def calibrated(self, logits_B_K: Tensor) -> Tensor:
        """Probabilities [B, 16] of logits, by temperature and class biases (Guo et al. 2017, section 4.2).

        Words alone bring calibrated odds of positive, which stay; the category given violative is calibrated.
        """
        logits = logits_B_K * torch.exp(-self.log_temperature) + self.class_bias
        if self.shape.fused:
            return torch.softmax(logits, dim=1)
        positive = torch.exp(logits_B_K[:, POSITIVE_INDEX:])
        given_violative = torch.softmax(logits[:, :POSITIVE_INDEX], dim=1)
        return torch.cat([given_violative * (1.0 - positive), positive], dim=1)

    def forward(
        self,
        frames: Tensor,
        ngram_ids: Tensor,
        ngram_counts: Tensor,
        signals: Tensor,
        present: Tensor,
    ) -> tuple[Tensor, Tensor]:
        words, text, unseen = self.text(ngram_ids, ngram_counts, present)
        if not self.shape.fused:
            return self.calibrated(words), self.embed(text, unseen, None)
        picture = self.picture(frames, present)
        logits = self.fuse(words, text, picture, signals, present)
        return self.calibrated(logits), self.embed(text, unseen, picture)
