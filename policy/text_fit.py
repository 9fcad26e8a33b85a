"""Hashed n-grams of decided cases in, the text tower's table out, with logits that no case was taught by."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from contracts.taxonomy import N_CATEGORIES
from serving.preprocess.inputs import ModelInputs
from serving.student import N_TEXT_FIELDS

Matrix = Any


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How the wide table and the projection are fitted."""

    penalty_c: float = 5.0
    folds: int = 5
    text_dim: int = 64


@dataclass(frozen=True, slots=True)
class TextFit:
    """table float32 [V, 1 + 16 + T]; bias [16]; out-of-sample logits [N, 16]; text embeddings [N, T]."""

    table: npt.NDArray[np.float32]
    bias_16: npt.NDArray[np.float32]
    out_of_sample_N_16: npt.NDArray[np.float32]
    embedding_N_T: npt.NDArray[np.float32]


def inverse_document_frequency(inputs: ModelInputs, *, buckets: int) -> npt.NDArray[np.float32]:
    """Smoothed idf [V], log((1 + N) / (1 + df)) + 1, as scikit-learn's TfidfTransformer has it."""
    used = inputs.ngram_counts > 0
    frequency = np.bincount(inputs.ngram_ids[used], minlength=N_TEXT_FIELDS * buckets)
    return (np.log((1 + len(inputs)) / (1 + frequency)) + 1).astype(np.float32)


def tfidf(inputs: ModelInputs, idf: npt.NDArray[np.float32], *, buckets: int) -> Matrix:
    """The text tower's weights as a sparse matrix [N, V]: sublinear tf times idf, L2-normalised per field."""
    row, place = np.nonzero(inputs.ngram_counts)
    ids = inputs.ngram_ids[row, place]
    value = (1 + np.log(inputs.ngram_counts[row, place].astype(np.float32))) * idf[ids]
    field = ids // buckets
    value *= inputs.present[row, 1 + field]
    square = np.zeros((len(inputs), N_TEXT_FIELDS), np.float64)
    np.add.at(square, (row, field), value * value)
    value /= np.sqrt(np.maximum(square, 1e-12))[row, field]
    return sparse.csr_matrix((value, (row, ids)), shape=(len(inputs), len(idf)), dtype=np.float32)


def fit_text(
    inputs: ModelInputs, labels: npt.NDArray[np.int64], *, buckets: int, settings: TextSettings, seed: int
) -> TextFit:
    """Fit table and projection on N cases; every case's out-of-sample logits come from a fit without it."""
    idf = inverse_document_frequency(inputs, buckets=buckets)
    x = tfidf(inputs, idf, buckets=buckets)
    used = np.flatnonzero(x.getnnz(axis=0))
    x = x[:, used]
    out_of_sample = np.zeros((len(inputs), N_CATEGORIES), np.float32)
    for taught, left in KFold(settings.folds, shuffle=True, random_state=seed).split(x):
        weights, bias = _fit_wide(x[taught], labels[taught], settings)
        out_of_sample[left] = x[left] @ weights + bias
    weights, bias = _fit_wide(x, labels, settings)
    dim = min(settings.text_dim, min(x.shape) - 1)
    svd = TruncatedSVD(dim, random_state=seed).fit(x)
    table = np.zeros((N_TEXT_FIELDS * buckets, 1 + N_CATEGORIES + settings.text_dim), np.float32)
    table[:, 0] = idf
    table[used, 1 : 1 + N_CATEGORIES] = weights
    table[used, 1 + N_CATEGORIES : 1 + N_CATEGORIES + dim] = svd.components_.T
    embedding = np.zeros((len(inputs), settings.text_dim), np.float32)
    embedding[:, :dim] = x @ svd.components_.T.astype(np.float32)
    return TextFit(table, bias, out_of_sample, embedding)


def _fit_wide(
    x: Matrix, labels: npt.NDArray[np.int64], settings: TextSettings
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weights [V, 16] and biases [16]; a label without cases keeps a bias that makes it rare."""
    model = LogisticRegression(C=settings.penalty_c, max_iter=200, tol=1e-3).fit(x, labels)
    weights = np.zeros((x.shape[1], N_CATEGORIES), np.float32)
    bias = np.full(N_CATEGORIES, -8.0, np.float32)
    classes = model.classes_
    if len(classes) == 2:
        weights[:, classes[1]] = model.coef_[0]
        bias[list(classes)] = 0.0, model.intercept_[0]
    else:
        weights[:, classes] = model.coef_.T
        bias[list(classes)] = model.intercept_
    return weights, bias
