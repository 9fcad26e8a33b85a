"""The axes of a text space, turned to those of a parent's: by hand."""

import numpy as np
import pytest

from contracts.taxonomy import N_CATEGORIES
from policy.text_fit import TextFit, turned

T = 6


def _fit(rng: np.random.Generator, n: int = 60) -> TextFit:
    embedding = rng.normal(size=(n, T)).astype(np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    table = rng.normal(size=(9, 1 + N_CATEGORIES + T)).astype(np.float32)
    table[3:, 0] = 0.0  # n-grams that nobody taught
    return TextFit(
        table=table,
        bias=np.zeros(N_CATEGORIES, np.float32),
        shift=rng.normal(size=T).astype(np.float32),
        taught=embedding[:20],
        taught_violative=np.zeros(20, np.float32),
        stack=np.zeros(3, np.float32),
        unseen_idf=np.ones(1, np.float32),
        out_of_sample=np.zeros((n, N_CATEGORIES), np.float32),
        embedding=embedding,
    )


def test_the_axes_become_those_of_the_parent_and_likeness_stays() -> None:
    rng = np.random.default_rng(0)
    fit = _fit(rng)
    axes = np.linalg.qr(rng.normal(size=(T, T)))[0].astype(np.float32)
    rows = np.arange(0, 60, 2)
    # the parent's embeddings hold more than words: what comes after them is not looked at
    before = np.concatenate([0.5 * fit.embedding[rows] @ axes, rng.normal(size=(30, 4)).astype(np.float32)], axis=1)
    found = turned(fit, rows, before)
    assert found.embedding == pytest.approx(fit.embedding @ axes, abs=1e-5)
    assert found.embedding @ found.taught.T == pytest.approx(fit.embedding @ fit.taught.T, abs=1e-5)
    assert found.shift == pytest.approx(fit.shift @ axes, abs=1e-5)


def test_projections_of_known_words_turn_and_directions_of_unknown_ones_stay() -> None:
    rng = np.random.default_rng(1)
    fit = _fit(rng)
    table = fit.table.copy()
    axes = np.linalg.qr(rng.normal(size=(T, T)))[0].astype(np.float32)
    found = turned(fit, np.arange(60), fit.embedding @ axes)
    assert found.table[:3, 1 + N_CATEGORIES :] == pytest.approx(table[:3, 1 + N_CATEGORIES :] @ axes, abs=1e-5)
    assert np.array_equal(found.table[3:], table[3:])
    assert np.array_equal(found.table[:, : 1 + N_CATEGORIES], table[:, : 1 + N_CATEGORIES])
