"""Assignment: the same for ever, uniform, exclusive within a layer, independent between experiments.

The statistics are of fixed ids, hence always the same: a test fails when the hash changes, never by chance.
"""

import uuid
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from ab_tests.assignment import assign, bucket, edges, hashes
from contracts.errors import BadInputError
from contracts.experiments import N_BUCKETS
from tests.ab_tests.samples import experiment, split

USERS = [f"user-{i}" for i in range(400_000)]
UNLIKELY = 1e-3


def test_the_hash_is_that_of_the_specification() -> None:
    # Published results of xxHash64, seed 0.
    known = {
        "a": 0xD24EC4F1A98C6E5B,
        "abc": 0x44BC2CF5AD770999,
        "message digest": 0x066ED728FCEEB3BE,
        "abcdefghijklmnopqrstuvwxyz": 0xCFE1F278FA89835C,
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789": 0xAAA46907D3047814,
        "1234567890" * 8: 0xE04A477F19EE145D,
    }
    assert dict(zip(known, hashes("", list(known)).tolist(), strict=True)) == known
    assert hashes("ab", ["c"]).tolist() == [known["abc"]]


def test_an_assignment_never_changes() -> None:
    # Golden values: if this test fails, every running experiment has just been shuffled.
    users = ["user-1", "user-2", "user-3", "user-4", "0b6d8c2e-6f5c-4c70-9a62-0f5f3c1f7e55", "U" * 128]
    assert bucket("feed", users).tolist() == [1341, 2906, 9580, 9138, 6266, 3024]
    assert assign(experiment(), users).tolist() == [1, 0, 0, 1, 1, 1]
    assert assign(experiment(buckets=[0, 5_000]), users).tolist() == [1, 0, -1, -1, -1, 1]


def test_every_bucket_is_as_likely_as_any_other() -> None:
    for layer in ("feed", "moderation", "1", "2"):
        counts = np.bincount(bucket(layer, USERS), minlength=N_BUCKETS)
        assert len(counts) == N_BUCKETS
        assert chisquare(counts).pvalue > UNLIKELY


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (1 / 3, 1 / 3, 1 / 3), (0.25, 0.25, 0.25, 0.25)])
def test_the_variants_get_their_shares(shares: tuple[float, ...]) -> None:
    for salt in ("a", "b", "c"):
        counts = np.bincount(assign(experiment(salt=salt, variants=split(*shares)), USERS), minlength=len(shares))
        assert chisquare(counts, len(USERS) * np.array(shares)).pvalue > UNLIKELY


@pytest.mark.parametrize(
    "ids", [[str(i) for i in range(100_000)], [str(uuid.UUID(int=i << 64)) for i in range(100_000)]]
)
def test_ids_that_differ_in_a_digit_are_as_good_as_any(ids: list[str]) -> None:
    assert chisquare(np.bincount(assign(experiment(), ids))).pvalue > UNLIKELY
    assert chisquare(np.bincount(bucket("feed", ids) // 100)).pvalue > UNLIKELY


def independent(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> bool:
    table = np.zeros((first.max() + 1, second.max() + 1), np.int64)
    np.add.at(table, (first, second), 1)
    return bool(chi2_contingency(table).pvalue > UNLIKELY)


def test_the_arms_of_two_experiments_know_nothing_of_each_other() -> None:
    arms = [assign(experiment(salt=salt, variants=split(0.2, 0.3, 0.5)), USERS) for salt in ("a", "b", "a1", "2")]
    pairs = [(i, j) for i in range(4) for j in range(i)]
    assert [independent(arms[i], arms[j]) for i, j in pairs] == [True] * 6
    assert not independent(arms[0], assign(experiment(salt="a", variants=split(0.5, 0.5)), USERS))


def test_layers_are_independent_and_so_are_a_bucket_and_an_arm_even_of_the_same_name() -> None:
    feed, other = bucket("feed", USERS) // 500, bucket("other", USERS) // 500
    assert independent(feed, other)
    assert independent(feed, assign(experiment(salt="feed", variants=split(0.5, 0.5)), USERS).astype(np.int64))


def test_experiments_of_one_layer_share_no_user_and_together_have_all() -> None:
    ranges = ((0, 2_500), (2_500, 2_501), (2_501, 10_000))
    inside = np.stack([assign(experiment(salt=f"salt-{r[0]}", buckets=list(r)), USERS) >= 0 for r in ranges])
    assert inside.sum(axis=0).tolist() == [1] * len(USERS)
    assert inside.mean(axis=1) == pytest.approx([0.25, 0.0001, 0.7499], abs=0.002)


def test_widening_an_experiment_moves_nobody_to_another_arm() -> None:
    narrow, wide = (assign(experiment(buckets=[0, last]), USERS[:20_000]) for last in (2_000, 9_000))
    assert (wide[narrow >= 0] == narrow[narrow >= 0]).all()
    assert (wide >= 0).sum() > (narrow >= 0).sum() > 0


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=140), max_size=40))
def test_a_user_s_hash_does_not_depend_on_who_else_is_asked_about(ids: list[str]) -> None:
    assert hashes("p:", ids).tolist() == [int(hashes("p:", [one])[0]) for one in ids]


def test_more_ids_than_are_hashed_at_once_keep_their_order() -> None:
    forward, backward = hashes("p:", USERS[:50_000]), hashes("p:", USERS[49_999::-1])
    assert (forward == backward[::-1]).all()
    assert len(np.unique(forward)) == 50_000


def test_nobody_asked_nobody_assigned() -> None:
    assert assign(experiment(), []).tolist() == assign(experiment(buckets=[0, 1]), []).tolist() == []


@pytest.mark.parametrize("wrong", ["", "Zoë", "用户"])
def test_what_is_no_id_is_refused_by_value(wrong: str) -> None:
    with pytest.raises(BadInputError, match=f"user_id == '{wrong}', must be 1 or more ASCII characters"):
        assign(experiment(), ["fine", wrong])


def test_the_edges_are_whole_numbers_that_end_at_the_last_point() -> None:
    assert edges(experiment(variants=split(0.5, 0.25, 0.25))).tolist() == [1 << 31, 3 << 30, 1 << 32]
    assert edges(experiment(variants=split(*[0.1] * 10))).tolist()[-1] == 1 << 32
