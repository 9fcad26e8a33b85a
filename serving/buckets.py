"""One batch in, groups padded to a few fixed shapes out, and their answers back in the order of the rows.

Every scorer goes through here, so that Triton and in-process ONNX Runtime run the same shapes and give the
same bits, and so that no shape appears that was not warmed up. Rows with media and rows without, and rows
of short and of long texts, go in groups of their own where that saves more than one request costs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contracts.errors import BadInputError
from contracts.taxonomy import N_CATEGORIES
from contracts.verdicts import MODALITIES
from serving.casebook import ids_from_bytes
from serving.preprocess.inputs import SIGNALS, ModelInputs, Tensors
from serving.scorer import N_CITED, Scores

FRAMES = MODALITIES.index("frames")
NO_FRAMES = (1, 8, 8, 3)
INPUTS = ("frames", "ngram_ids", "ngram_counts", "signals", "present")
OUTPUTS = ("probabilities", "classifier", "cited_ids", "cited_categories", "cited_similarities")

Shapes = dict[str, tuple[int, ...]]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Buckets:
    """The shapes that a request may have: batch sizes, and text lengths that are powers of two.

    A batch is cut so that it holds at most `most_ngrams` n-grams (padding counted) and `most_frame_bytes` of
    pixels. Padding is weighed in n-grams, of which `bytes_an_ngram` pixels cost as much as one, and
    `worth_a_request` as much as one request more.
    """

    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    least_length: int = 64
    most_ngrams: int = 131_072
    most_frame_bytes: int = 4 << 20
    bytes_an_ngram: int = 16
    worth_a_request: int = 8_192

    @property
    def largest_batch(self) -> int:
        return self.batches[-1]

    def batches_for(self, length: int, frame: Sequence[int] = NO_FRAMES) -> tuple[int, ...]:
        """The batch sizes allowed at a text length and a frame stack [F, H, W, 3]; the smallest always is."""
        most = min(self.most_ngrams // length, self.most_frame_bytes // int(np.prod(frame)))
        return tuple(size for size in self.batches if size <= most) or self.batches[:1]

    def cut(self, n: int, length: int, frame: Sequence[int] = NO_FRAMES) -> tuple[int, ...]:
        """Batch sizes that hold `n` rows at the least cost of padding and requests, largest first."""
        sizes = self.batches_for(length, frame)
        row = length + int(np.prod(frame)) // self.bytes_an_ngram
        whole, rest = divmod(n, sizes[-1])
        return (sizes[-1],) * whole + self._cut(rest, sizes, row)[1]

    def _cut(self, n: int, sizes: tuple[int, ...], row: int) -> tuple[int, tuple[int, ...]]:
        """The cost beside the rows themselves, and the sizes, of `n` rows fewer than the largest size."""
        if n == 0:
            return 0, ()
        upper = next(size for size in sizes if size >= n)
        padded = self.worth_a_request + (upper - n) * row, (upper,)
        lower = max((size for size in sizes if size <= n), default=upper)
        if lower >= n:
            return padded
        cost, others = self._cut(n - lower, sizes, row)
        return min(padded, (self.worth_a_request + cost, (lower, *others)))

    def length_for(self, n_ngrams: int) -> int:
        """The text length that a row of `n_ngrams` is padded to."""
        return max(self.least_length, 1 << max(0, n_ngrams - 1).bit_length())

    def shapes(self, *, frame: Sequence[int], max_ngrams: int) -> Iterator[Shapes]:
        """Every shape that a request can have: what a server warms up."""
        longest = self.length_for(max_ngrams)
        for stack in (NO_FRAMES, tuple(frame)):
            length = self.least_length
            while length <= longest:
                for batch in self.batches_for(length, stack):
                    yield _shapes(batch, stack, length)
                length *= 2


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of a batch whose tensors are padded to one fixed shape; padding comes after the rows."""

    rows: Rows
    tensors: Tensors


def group_by_shape(inputs: ModelInputs, buckets: Buckets) -> list[Group]:
    """Cut a batch into groups of fixed shapes; raises `BadInputError` when its tensors do not agree."""
    _check(inputs)
    used = inputs.ngram_counts > 0
    lengths = np.where(used.any(axis=1), used.shape[1] - np.argmax(used[:, ::-1], axis=1), 0)
    ladder = buckets.least_length << np.arange(32)
    bucket = ladder[np.searchsorted(ladder, lengths)]
    groups = []
    for with_media in (False, True):
        rows = np.flatnonzero((inputs.present[:, FRAMES] > 0) == with_media)
        frame = inputs.frames.shape[1:] if with_media else NO_FRAMES
        for length, members in _lengths(rows, bucket, buckets):
            start = 0
            for size in buckets.cut(len(members), length, frame):
                some = members[start : start + size]
                start += size
                groups.append(_pad(inputs, some, _shapes(size, frame, length), with_media=with_media))
    return groups


def scores_of(groups: Sequence[Group], answers: Sequence[Tensors], n_rows: int) -> Scores:
    """Put the groups' answers back in the order of the rows, without their padding."""
    probabilities = np.empty((n_rows, N_CATEGORIES), np.float32)
    classifier = np.empty((n_rows, N_CATEGORIES), np.float32)
    cited_ids = np.empty((n_rows, N_CITED), dtype=object)
    cited_categories = np.empty((n_rows, N_CITED), np.int32)
    similarities = np.empty((n_rows, N_CITED), np.float32)
    for group, answer in zip(groups, answers, strict=True):
        n = len(group.rows)
        probabilities[group.rows] = answer["probabilities"][:n]
        classifier[group.rows] = answer["classifier"][:n]
        cited_ids[group.rows] = ids_from_bytes(answer["cited_ids"][:n])
        cited_categories[group.rows] = answer["cited_categories"][:n]
        similarities[group.rows] = answer["cited_similarities"][:n]
    return Scores(probabilities, classifier, cited_ids, cited_categories, similarities)


def _lengths(rows: Rows, bucket: Rows, buckets: Buckets) -> Iterator[tuple[int, Rows]]:
    """The rows by text length, shortest first; few short ones join the next longer ones."""
    found = np.unique(bucket[rows])
    carried = rows[:0]
    for i, length in enumerate(found):
        members = np.concatenate([carried, rows[bucket[rows] == length]])
        if i + 1 < len(found) and len(members) * (found[i + 1] - length) < buckets.worth_a_request:
            carried = members
            continue
        carried = rows[:0]
        yield int(length), members


def _shapes(batch: int, frame: Sequence[int], length: int) -> Shapes:
    return {
        "frames": (batch, *frame),
        "ngram_ids": (batch, length),
        "ngram_counts": (batch, length),
        "signals": (batch, len(SIGNALS)),
        "present": (batch, len(MODALITIES)),
    }


def _pad(inputs: ModelInputs, rows: Rows, shapes: Shapes, *, with_media: bool) -> Group:
    tensors: Tensors = {}
    for name, tensor in inputs.tensors().items():
        shape = shapes[name]
        if name == "frames" and not with_media:
            tensors[name] = np.zeros(shape, tensor.dtype)
        elif tensor.shape == shape and len(rows) == len(tensor):
            tensors[name] = np.ascontiguousarray(tensor)
        else:
            padded = np.empty(shape, tensor.dtype)
            width = min(shape[1], tensor.shape[1])
            padded[: len(rows), :width] = tensor[rows, :width]
            padded[: len(rows), width:] = 0
            padded[len(rows) :] = 0
            tensors[name] = padded
    return Group(rows, tensors)


def _check(inputs: ModelInputs) -> None:
    n = len(inputs)
    ids, counts = inputs.ngram_ids.shape, inputs.ngram_counts.shape
    rules = (
        ("frames", inputs.frames, np.uint8, (n, *inputs.frames.shape[1:4], 3)),
        ("ngram_ids", inputs.ngram_ids, np.int32, (n, counts[-1])),
        ("ngram_counts", inputs.ngram_counts, np.uint8, (n, ids[-1])),
        ("signals", inputs.signals, np.float32, (n, len(SIGNALS))),
        ("present", inputs.present, np.uint8, (n, len(MODALITIES))),
    )
    for name, tensor, dtype, shape in rules:
        if tensor.dtype != dtype or tensor.shape != shape:
            raise BadInputError(
                f"{name} is {tensor.dtype} {list(tensor.shape)}, must be {np.dtype(dtype)} {list(shape)} (scorer)"
            )
