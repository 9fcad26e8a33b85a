"""Hashed n-grams of decided cases in, the text tower's table and heads out, with logits no case was taught by.

Two convex fits on words and topics: violative or not, and which category given that it is violative. The rare
categories would be shrunk away by one softmax over all 16.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from serving.preprocess.inputs import ModelInputs
from serving.student import N_TEXT_FIELDS

Matrix = Any
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How the text tower is fitted: inverse penalties, weights of the topics beside words, folds."""

    violative_c: float = 5.0
    category_c: float = 5.0
    field_topics: float = 0.15
    all_topics: float = 0.45
    folds: int = 5
    n_projected: int = 32
    smallest_df: int = 2
    dense_up_to: int = 1_500


@dataclass(frozen=True, slots=True)
class TextFit:
    """What `TextTower` holds, and what it gives the N cases it was fitted on.

    table [V, 1 + 16 + T + P], heads [4 T, 16], bias [16]; out_of_sample: log-probabilities [N, 16] of each case from
    a fit without it; topics [N, 4 T]; embedding [N, T + P].
    """

    table: Floats
    heads: Floats
    bias: Floats
    out_of_sample: Floats
    topics: Floats
    embedding: Floats


@dataclass(frozen=True, slots=True)
class _Linear:
    """A linear model on words and topics: coefficients [D, 16] and bias [16], as the text tower's `z`."""

    coefficients: Floats
    bias: Floats

    def __call__(self, features: Matrix) -> Floats:
        return np.asarray(features @ self.coefficients, np.float32) + self.bias


def inverse_document_frequency(inputs: ModelInputs, *, buckets: int, smallest_df: int = 1) -> Floats:
    """Smoothed idf [V], log((1 + N) / (1 + df)) + 1, as scikit-learn's TfidfTransformer has it; 0 for the rarest.

    What fewer than `smallest_df` documents have teaches nothing about others, and would only lengthen the rest.
    """
    used = inputs.ngram_counts > 0
    frequency = np.bincount(inputs.ngram_ids[used], minlength=N_TEXT_FIELDS * buckets)
    idf = np.log((1 + len(inputs)) / (1 + frequency)) + 1
    return np.where(frequency >= smallest_df, idf, 0.0).astype(np.float32)


def tfidf(inputs: ModelInputs, idf: Floats, *, buckets: int) -> Matrix:
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


def topics_of(inputs: ModelInputs, idf: Floats, topics_V_T: Floats, *, buckets: int) -> Floats:
    """The text tower's topics [N, 4 T]: those of each field and of all, each part L2-normalised."""
    weights = tfidf(inputs, idf, buckets=buckets)
    parts = [
        _unit(np.asarray(weights[:, rows] @ topics_V_T[rows]))
        for rows in (slice(f * buckets, (f + 1) * buckets) for f in range(N_TEXT_FIELDS))
    ]
    return np.concatenate([*parts, _unit(np.sum(parts, axis=0))], axis=1, dtype=np.float32)


def fit_text(
    inputs: ModelInputs,
    labels: npt.NDArray[np.int64],
    topics_V_T: Floats,
    *,
    buckets: int,
    settings: TextSettings,
    seed: int,
) -> TextFit:
    """Fit table, heads and bias on N cases; `topics_V_T` says which topics each n-gram speaks of."""
    n_topics = topics_V_T.shape[1]
    idf = inverse_document_frequency(inputs, buckets=buckets, smallest_df=settings.smallest_df)
    words = tfidf(inputs, idf, buckets=buckets)
    topics = topics_of(inputs, idf, topics_V_T, buckets=buckets)
    used = np.flatnonzero(words.getnnz(axis=0))
    scale = np.sqrt(
        np.repeat([settings.field_topics, settings.all_topics], [N_TEXT_FIELDS * n_topics, n_topics])
    ).astype(np.float32)
    features = sparse.hstack([words[:, used], sparse.csr_matrix(topics * scale)]).tocsr()
    out_of_sample = np.zeros((len(inputs), N_CATEGORIES), np.float32)
    for taught, left in KFold(settings.folds, shuffle=True, random_state=seed).split(labels):
        out_of_sample[left] = _fit(features[taught], labels[taught], settings)(features[left])
    model = _fit(features, labels, settings)
    projection = np.zeros((len(used), settings.n_projected), np.float32)
    if len(used) > settings.n_projected:
        projection = TruncatedSVD(settings.n_projected, random_state=seed).fit(words[:, used]).components_.T
    table = np.zeros((N_TEXT_FIELDS * buckets, 1 + N_CATEGORIES + n_topics + settings.n_projected), np.float32)
    table[:, 0] = idf
    table[used, 1 : 1 + N_CATEGORIES] = model.coefficients[: len(used)]
    table[:, 1 + N_CATEGORIES : 1 + N_CATEGORIES + n_topics] = topics_V_T
    table[used, 1 + N_CATEGORIES + n_topics :] = projection
    embedding = np.concatenate([topics[:, -n_topics:], _unit(np.asarray(words[:, used] @ projection))], axis=1)
    return TextFit(
        table=table,
        heads=model.coefficients[len(used) :] * scale[:, None],
        bias=model.bias,
        out_of_sample=log_probabilities(out_of_sample),
        topics=topics,
        embedding=embedding.astype(np.float32),
    )


def log_probabilities(z_N_16: Floats) -> Floats:
    """NumPy twin of `serving.student.log_probabilities`."""
    given, positive = z_N_16[:, :POSITIVE_INDEX], z_N_16[:, POSITIVE_INDEX:]
    peak = given.max(axis=1, keepdims=True)
    given = given - peak - np.log(np.exp(given - peak).sum(axis=1, keepdims=True))
    return np.concatenate([given - np.logaddexp(0, positive), -np.logaddexp(0, -positive)], axis=1)


def _fit(features: Matrix, labels: npt.NDArray[np.int64], settings: TextSettings) -> _Linear:
    coefficients = np.zeros((features.shape[1], N_CATEGORIES), np.float32)
    bias = np.full(N_CATEGORIES, -8.0, np.float32)  # a category without cases is rare, not impossible
    violative = np.flatnonzero(labels != POSITIVE_INDEX)
    for rows, targets, penalty in (
        (np.arange(len(labels)), labels == POSITIVE_INDEX, settings.violative_c),
        (violative, labels[violative], settings.category_c),
    ):
        classes = np.unique(targets)
        columns = np.array([POSITIVE_INDEX]) if targets.dtype == np.bool_ else classes
        if len(classes) < 2:
            bias[columns] = 0.0
            continue
        weights, intercepts = _logistic(features[rows], targets, penalty, settings.dense_up_to)
        if len(classes) == 2 and targets.dtype != np.bool_:
            weights, intercepts = np.stack([-weights[0], weights[0]]) / 2, np.array([-1, 1]) * intercepts[0] / 2
        coefficients[:, columns] = weights.T
        bias[columns] = intercepts
    return _Linear(coefficients, bias)


def _logistic(
    features: Matrix, targets: npt.NDArray[Any], penalty: float, dense_up_to: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights [K, D] and intercepts [K] of an L2-penalised logistic regression.

    Few cases span few directions: up to `dense_up_to` of them the same optimum is found in the span of the cases
    (the representer theorem), by the eigenvectors of their inner products.
    """
    if not features.nnz:
        return _prior(targets, features.shape[1])
    if len(targets) > dense_up_to:
        model = LogisticRegression(C=penalty, max_iter=300, tol=1e-4).fit(features, targets)
        return model.coef_, model.intercept_
    products = np.asarray((features @ features.T).todense(), np.float64)
    values, vectors = np.linalg.eigh(products)
    kept = values > 1e-7 * values[-1]
    root = np.sqrt(values[kept])
    model = LogisticRegression(C=penalty, max_iter=500, tol=1e-4).fit(vectors[:, kept] * root, targets)
    return model.coef_ @ (features.T @ (vectors[:, kept] / root)).T, model.intercept_


def _prior(targets: npt.NDArray[Any], width: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cases without a word teach how frequent each label is."""
    _, counts = np.unique(targets, return_counts=True)
    logs = np.log(counts / len(targets))
    intercepts = logs[1:] - logs[:1] if len(counts) == 2 else logs
    return np.zeros((len(intercepts), width)), intercepts


def _unit(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return vectors / np.sqrt(np.maximum(np.square(vectors).sum(axis=1, keepdims=True), 1e-12))
