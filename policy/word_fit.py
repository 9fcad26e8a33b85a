"""Hashed n-grams of cases and what they are to teach in, a linear model on words out, by two convex fits.

Whether a case is violative is learned of its words wherever they are said, each scaled by how much it tells; which
category it is, given that it is violative, by a fit of its own: the rare categories would be shrunk away by one softmax
over all 16. A case whose label is shared counts as an example of each.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from serving.preprocess.inputs import ModelInputs
from serving.student import N_TEXT_FIELDS

Matrix = Any
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WordSettings:
    """Inverse penalties of the two fits; up to how many cases their optimum is found in the span of the cases."""

    violative_c: float = 1.0
    category_c: float = 5.0
    dense_up_to: int = 1_500


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear model on words: coefficients [D, 16] and bias [16], as the text tower's `z`."""

    coefficients: Floats
    bias: Floats

    def __call__(self, features: Matrix) -> Floats:
        return np.asarray(features @ self.coefficients, np.float32) + self.bias


@dataclass(frozen=True, slots=True)
class Said:
    """What N cases say: D n-grams by the field where they stand, W n-grams wherever they do; `place` [D] of each there.

    What was learned of an n-gram in one field holds in each where it is known: few cases of a new kind teach more.
    """

    by_field: Matrix
    anywhere: Matrix
    place: npt.NDArray[np.int64]


def said_of(by_field_N_D: Matrix, ngram_D: npt.NDArray[np.int64]) -> Said:
    """The same, by the n-gram that each column is of."""
    names, place = np.unique(ngram_D, return_inverse=True)
    ones = np.ones(len(place), np.float32)
    same = sparse.csr_matrix((ones, (np.arange(len(place)), place)), shape=(len(place), len(names)))
    return Said(by_field_N_D, (by_field_N_D @ same).tocsr(), place)


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


class Examples(NamedTuple):
    """M examples: the row of each, the label it is one of, and for how many it counts."""

    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    counts: Floats


def examples_of(rows: npt.NDArray[np.int64], targets_N_K: Floats, counts_N: Floats | None) -> Examples:
    """The cases at `rows`, each as an example of every label that it has a share of."""
    place, labels = np.nonzero(targets_N_K[rows])
    rows = rows[place]
    shares = targets_N_K[rows, labels]
    return Examples(rows, labels, shares if counts_N is None else shares * counts_N[rows])


def of_two(targets_N_16: Floats) -> Floats:
    """Probabilities of violative and of positive, [N, 2]."""
    positive = targets_N_16[:, POSITIVE_INDEX]
    return np.stack([1.0 - positive, positive], axis=1)


def fit_words(
    said: Said, rows: npt.NDArray[np.int64], targets_N_16: Floats, counts: Floats, settings: WordSettings
) -> Linear:
    """Learn from the cases at `rows` whether one is positive, and which category it is given that it is violative."""
    coefficients = np.zeros((said.by_field.shape[1], N_CATEGORIES), np.float32)
    bias = np.full(N_CATEGORIES, -8.0, np.float32)  # a category without cases is rare, not impossible
    bias[POSITIVE_INDEX] = 0.0
    taught = examples_of(rows, of_two(targets_N_16), counts)
    if 0 < taught.labels.sum() < len(taught.labels):
        anywhere = said.anywhere[taught.rows]
        scale = _telling(anywhere, taught.labels == 1, taught.counts)
        scaled = anywhere.multiply(scale[None]).tocsr()
        scaled.eliminate_zeros()
        weights, intercepts = _logistic(
            scaled, taught.labels == 1, taught.counts, settings.violative_c, settings.dense_up_to
        )
        coefficients[:, POSITIVE_INDEX] = (weights[0] * scale)[said.place]
        bias[POSITIVE_INDEX] = intercepts[0]
    taught = examples_of(rows, targets_N_16[:, :POSITIVE_INDEX], counts)
    categories = np.unique(taught.labels)
    if len(categories) < 2:
        bias[categories] = 0.0
        return Linear(coefficients, bias)
    weights, intercepts = _logistic(
        said.by_field[taught.rows], taught.labels, taught.counts, settings.category_c, settings.dense_up_to
    )
    if len(categories) == 2:
        weights, intercepts = np.stack([-weights[0], weights[0]]) / 2, np.array([-1, 1]) * intercepts[0] / 2
    coefficients[:, categories] = weights.T
    bias[categories] = intercepts
    return Linear(coefficients, bias)


def _telling(anywhere: Matrix, positive: npt.NDArray[np.bool_], counts: Floats) -> npt.NDArray[np.float64]:
    """How much each of W n-grams tells of two kinds of cases: the absolute log ratio of its shares of what they say.

    Words scaled by it are learned as fast as they tell (Wang and Manning, ACL 2012, section 2): a penalty that is one
    for all would hold back the few that a new trend is known by, as if each were chatter. 1 where none tells more.
    """
    there = (anywhere > 0).astype(np.float64).T
    good, bad = (1.0 + there @ (counts * kind) for kind in (positive, ~positive))
    telling = np.abs(np.log(good / good.sum()) - np.log(bad / bad.sum()))
    return telling if telling.any() else np.ones_like(telling)


def _logistic(
    features: Matrix, targets: npt.NDArray[Any], counts: Floats, penalty: float, dense_up_to: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights [K, D] and intercepts [K] of an L2-penalised logistic regression.

    Few cases span few directions: up to `dense_up_to` of them the same optimum is found in the span of the cases
    (the representer theorem), by the eigenvectors of their inner products.
    """
    if not features.nnz:
        return _prior(targets, counts, features.shape[1])
    if len(targets) > dense_up_to:
        model = LogisticRegression(C=penalty, max_iter=300, tol=1e-4).fit(features, targets, sample_weight=counts)
        return model.coef_, model.intercept_
    products = np.asarray((features @ features.T).todense(), np.float64)
    values, vectors = np.linalg.eigh(products)
    kept = values > 1e-7 * values[-1]
    root = np.sqrt(values[kept])
    model = LogisticRegression(C=penalty, max_iter=500, tol=1e-4).fit(
        vectors[:, kept] * root, targets, sample_weight=counts
    )
    return model.coef_ @ (features.T @ (vectors[:, kept] / root)).T, model.intercept_


def _prior(
    targets: npt.NDArray[Any], counts: Floats, width: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cases without a word teach how frequent each label is."""
    _, which = np.unique(targets, return_inverse=True)
    logs = np.log(np.bincount(which, counts) / counts.sum())
    intercepts = logs[1:] - logs[:1] if len(logs) == 2 else logs
    return np.zeros((len(intercepts), width)), intercepts
