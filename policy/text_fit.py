"""Hashed n-grams of decided cases in, what the text tower knows out, with log-probabilities no case was taught by.

Two views of whether a case is violative: a convex fit on its words (`policy.word_fit`), and the vote of the taught
cases by likeness in a whitened latent space. Few cases speak by likeness alone (their words add noise), many by both,
weighed by cases that neither has seen.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from contracts.taxonomy import N_CATEGORIES, POSITIVE_INDEX
from policy.word_fit import (
    Floats,
    Matrix,
    WordSettings,
    examples_of,
    fit_words,
    inverse_document_frequency,
    of_two,
    said_of,
    tfidf,
)
from serving.preprocess.inputs import ModelInputs
from serving.student import MOST_CERTAIN, N_TEXT_FIELDS, VOTE_SHARPNESS


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How the text tower is fitted: penalties of its words, folds, sizes.

    in_sample: a case left out of its own vote still shaped the space it votes in; unseen cases are this much less
    certain than the left-out votes say (measured on the KuaiMod benchmark: slope 0.8).
    """

    words: WordSettings = field(default_factory=WordSettings)
    folds: int = 5
    text_dim: int = 128
    n_taught: int = 2_048
    spanned_by: int = 2_000
    smallest_df: int = 2
    likeness_alone_up_to: int = 1_500
    in_sample: float = 0.8


@dataclass(frozen=True, slots=True)
class TextFit:
    """What `TextTower` holds, and what it gives the N cases it was fitted on.

    table [V, 1 + 16 + T], bias [16], shift [T], taught [M, T], taught_violative [M], stack [3], unseen_idf [1].
    out_of_sample: log-probabilities [N, 16] of each case without its own vote, from a fit without it; embedding [N, T].
    """

    table: Floats
    bias: Floats
    shift: Floats
    taught: Floats
    taught_violative: Floats
    stack: Floats
    unseen_idf: Floats
    out_of_sample: Floats
    embedding: Floats


def fit_text(
    inputs: ModelInputs,
    targets_N_16: Floats,
    *,
    buckets: int,
    settings: TextSettings,
    seed: int,
    stands_for: Floats | None = None,
    new: npt.NDArray[np.int64] | None = None,
    emphasis: float = 1.0,
) -> TextFit:
    """Fit the text tower on N cases; every case's out-of-sample log-probabilities come from fits without it.

    What a case is to teach are probabilities of the categories; where they are shared, it counts as a case of each.
    `stands_for` [N] is how many uploads each case speaks for where certainty is weighed; 1 where nothing is said. The
    rows `new` span the space of likeness and vote in it before others do, up to a half, and each counts `emphasis`
    times where words are learned: what is new must not be left to chance.
    """
    rng = np.random.default_rng(seed)
    idf = inverse_document_frequency(inputs, buckets=buckets, smallest_df=settings.smallest_df)
    words = tfidf(inputs, idf, buckets=buckets)
    used = np.flatnonzero(words.getnnz(axis=0))
    said = said_of(words[:, used], used % buckets)
    unseen = np.zeros((len(inputs), N_CATEGORIES), np.float32)
    counts = np.ones(len(inputs), np.float32)
    if new is not None:
        counts[new] = emphasis
    for learned, left in KFold(settings.folds, shuffle=True, random_state=seed).split(targets_N_16):
        unseen[left] = fit_words(said, learned, targets_N_16, counts, settings.words)(said.by_field[left])
    model = fit_words(said, np.arange(len(inputs)), targets_N_16, counts, settings.words)
    whole = _whole(said.by_field)
    projection, shift = _whitened(whole[_some(len(inputs), settings.spanned_by, rng, new)], settings.text_dim)
    embedding = _unit(np.asarray(whole @ projection) - shift).astype(np.float32)
    taught = _some(len(inputs), settings.n_taught, rng, new)
    violative = 1.0 - targets_N_16[:, POSITIVE_INDEX]
    odds = _odds_of_positive(embedding, taught, violative)
    both = np.stack([odds, unseen[:, POSITIVE_INDEX]], axis=1)
    stack = _weighed(both, targets_N_16, settings, stands_for)
    unseen[:, POSITIVE_INDEX] = both @ stack[:2] + stack[2]
    table = np.zeros((N_TEXT_FIELDS * buckets, 1 + N_CATEGORIES + settings.text_dim), np.float32)
    table[:, 0] = idf
    untaught = np.flatnonzero(idf == 0)
    table[untaught, 1 + N_CATEGORIES :] = rng.choice(np.array([-1, 1], np.int8), (len(untaught), settings.text_dim))
    table[used, 1 : 1 + N_CATEGORIES] = model.coefficients
    table[used, 1 + N_CATEGORIES :] = projection
    return TextFit(
        table=table,
        bias=model.bias,
        shift=shift,
        taught=embedding[taught],
        taught_violative=violative[taught],
        stack=stack,
        unseen_idf=np.array([np.log((1 + len(inputs)) / settings.smallest_df) + 1], np.float32),
        out_of_sample=log_probabilities(unseen),
        embedding=embedding,
    )


def turned(fit: TextFit, rows: npt.NDArray[np.int64], before_R_D: Floats) -> TextFit:
    """Turn a fit's axes to those that a parent's embeddings `before` of the cases at `rows` have: all likeness stays.

    The axes of a whitened space are any rotation of each other; what was trained on the parent's would find the new
    ones strange. By the orthogonal Procrustes problem (Schoenemann 1966): of U S V^T = E^T E_before the turn is U V^T.
    """
    here = fit.embedding[rows]
    width = here.shape[1]
    u, _, vt = np.linalg.svd(here.T.astype(np.float64) @ _unit(before_R_D[:, :width]).astype(np.float64))
    turn = (u @ vt).astype(np.float32)
    table = fit.table.copy()
    known = np.flatnonzero(table[:, 0])
    table[known, 1 + N_CATEGORIES :] = table[known, 1 + N_CATEGORIES :] @ turn
    return replace(fit, shift=fit.shift @ turn, taught=fit.taught @ turn, embedding=fit.embedding @ turn, table=table)


def _whole(words: Matrix) -> Matrix:
    """Each row scaled to length 1, over all of its fields."""
    length = np.sqrt(np.asarray(words.multiply(words).sum(axis=1)).ravel())
    return (sparse.diags(1.0 / np.maximum(length, 1e-6)) @ words).tocsr()


def _whitened(whole: Matrix, dim: int) -> tuple[Floats, Floats]:
    """Projection [D, T] onto the leading singular directions of the centred rows, each of variance 1, and the mean's.

    By the eigenvectors V of the centred inner products, with values l: X^T V / l * sqrt(N).
    """
    n = whole.shape[0]
    inner = np.asarray((whole @ whole.T).todense(), np.float64)
    mean = inner.mean(axis=1)
    values, vectors = np.linalg.eigh(inner - mean[:, None] - mean[None] + inner.mean())
    kept = [i for i in reversed(range(n)) if values[i] > 1e-6 * max(values[-1], 1e-9)][: min(dim, n - 1)]
    projection = np.zeros((whole.shape[1], dim), np.float32)
    projection[:, : len(kept)] = whole.T @ (vectors[:, kept] / values[kept]) * np.sqrt(n)
    return projection, (np.asarray(whole.mean(axis=0)).ravel() @ projection).astype(np.float32)


def _odds_of_positive(embedding: Floats, taught: npt.NDArray[np.int64], violative: Floats) -> Floats:
    """Log odds of positive among the taught cases, weighted by likeness, a case's own vote left out."""
    odds = np.zeros(len(embedding), np.float32)
    for start in range(0, len(embedding), 512):
        rows = np.arange(start, min(start + 512, len(embedding)))
        votes = np.exp(VOTE_SHARPNESS * (embedding[rows] @ embedding[taught].T))
        votes[rows[:, None] == taught[None]] = 0.0
        share = np.clip(votes @ violative[taught] / votes.sum(axis=1), 1e-4, 1.0 - 1e-4)
        odds[rows] = np.log(1.0 - share) - np.log(share)
    return odds


def _weighed(both_N_2: Floats, targets_N_16: Floats, settings: TextSettings, stands_for: Floats | None) -> Floats:
    """Weights of likeness and words, and a bias; up to `likeness_alone_up_to` cases likeness speaks alone."""
    views = both_N_2 if len(both_N_2) > settings.likeness_alone_up_to else both_N_2 * np.array([1.0, 0.0], np.float32)
    taught = examples_of(np.arange(len(views)), of_two(targets_N_16), stands_for)
    model = LogisticRegression(C=1e4, max_iter=500).fit(
        views[taught.rows], taught.labels == 1, sample_weight=taught.counts
    )
    return np.array([*model.coef_[0], model.intercept_[0]], np.float32) * np.float32(settings.in_sample)


def _some(n: int, most: int, rng: np.random.Generator, first: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64]:
    order = rng.permutation(n)
    if first is not None:
        ahead = order[np.isin(order, first)][: most // 2]  # nothing old is forgotten for a busy day
        order = np.concatenate([ahead, order[~np.isin(order, ahead)]])
    return np.sort(order[:most])


def log_probabilities(z_N_16: Floats) -> Floats:
    """NumPy twin of `serving.student.log_probabilities`."""
    z = np.clip(z_N_16, -MOST_CERTAIN, MOST_CERTAIN)
    given, positive = z[:, :POSITIVE_INDEX], z[:, POSITIVE_INDEX:]
    given = given - np.log(np.exp(given).sum(axis=1, keepdims=True))
    return np.concatenate([given - np.logaddexp(0, positive), -np.logaddexp(0, -positive)], axis=1)


def _unit(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return vectors / np.sqrt(np.maximum(np.square(vectors).sum(axis=1, keepdims=True), 1e-12))
