"""Hashed n-grams against a slow and obvious oracle, and what must hold of any text."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.preprocess.ngrams import bucket_of, codes_of, longer, normalised, scattered, single
from serving.preprocess.text import LONGEST, hash_ngrams, spoken

BUCKETS = 4_096
PLENTY = 100_000

# what uploads hold and what breaks loops: Chinese, Latin, full-width, digits, marks, emoji, lone surrogates, NUL
letters = st.one_of(
    st.sampled_from("我爱你中国美女ab cAB0９Ａ，。|#@\0\n😀\ud800ß"),
    st.characters(codec=None),
)
texts = st.one_of(st.text(letters, max_size=40), st.text("abc我 ", max_size=12))
documents = st.tuples(texts, texts, texts)


def plain(text: str) -> str:
    codes = normalised(np.array([ord(letter) for letter in spoken(text)], np.uint32))
    return "".join(map(chr, codes))


def hash_of(ngram: str) -> np.uint64:
    codes = codes_of(ngram)
    hashes = single(codes[:1])
    for code in codes[1:]:
        hashes = longer(hashes, code)
    return np.uint64(hashes[0])


def counts(ngram: str) -> bool:
    """Whether the n-gram is one that is counted: see the module's docstring."""
    return len(ngram) <= 2 or all("a" <= letter <= "z" for letter in ngram)


def oracle(document: tuple[str, str, str]) -> dict[int, int]:
    """Bucket to count, one n-gram at a time."""
    found: Counter[int] = Counter()
    for field, text in enumerate(map(plain, document)):
        for n in range(1, LONGEST + 1):
            for start in range(len(text) - n + 1):
                ngram = text[start : start + n]
                if counts(ngram):
                    bucket = bucket_of(np.array([hash_of(ngram)], np.uint64), BUCKETS)[0]
                    found[field * BUCKETS + int(bucket)] += 1
    return {bucket: min(count, 255) for bucket, count in found.items()}


def hashed(*batch: tuple[str, str, str], most: int = PLENTY) -> list[dict[int, int]]:
    ids, times = hash_ngrams(*zip(*batch, strict=True), buckets=BUCKETS, max_ngrams=most)
    assert ids.shape == times.shape
    assert ids.shape[1] <= most
    assert ids.dtype == np.int32
    assert times.dtype == np.uint8
    rows = []
    for row_ids, row_counts in zip(ids, times, strict=True):
        used = row_counts > 0
        n = int(used.sum())
        assert used[:n].all(), "padding comes last"
        assert (row_ids[n:] == 0).all()
        assert (np.diff(row_ids[:n]) > 0).all(), "each id once, in ascending order"
        rows.append(dict(zip(row_ids[:n].tolist(), row_counts[:n].tolist(), strict=True)))
    return rows


@settings(max_examples=60, deadline=None)
@given(st.lists(documents, min_size=1, max_size=4))
def test_a_batch_is_hashed_as_the_oracle_hashes_each_document(batch: list[tuple[str, str, str]]) -> None:
    assert hashed(*batch) == [oracle(document) for document in batch]


@settings(max_examples=60, deadline=None)
@given(st.lists(documents, min_size=2, max_size=4), st.integers(1, 30))
def test_a_document_is_hashed_the_same_in_any_company(batch: list[tuple[str, str, str]], most: int) -> None:
    together = hashed(*batch, most=most)
    assert together == [hashed(document, most=most)[0] for document in batch]
    assert list(reversed(together)) == hashed(*reversed(batch), most=most)


@settings(max_examples=60, deadline=None)
@given(documents, st.integers(1, 30))
def test_too_many_ngrams_keep_those_with_the_first_hashes_and_their_counts(
    document: tuple[str, str, str], most: int
) -> None:
    whole = oracle(document)
    first = sorted(whole, key=lambda bucket: int(scattered(np.array([bucket]))[0]))[:most]
    assert hashed(document, most=most) == [{bucket: whole[bucket] for bucket in sorted(first)}]


def test_hand_counted_unigrams_and_bigrams() -> None:
    (found,) = hashed(("啊啊啊", "", ""))
    once, twice = sorted(found.values())
    assert (once, twice) == (2, 3)  # the pair twice, the character three times


@pytest.mark.parametrize("nothing", ["", "\0"])
def test_a_document_without_text_is_all_padding_or_a_space(nothing: str) -> None:
    ids, times = hash_ngrams([nothing], [""], [""], buckets=BUCKETS, max_ngrams=PLENTY)
    assert ids.shape == (1, 1)
    assert int(times.sum()) == len(nothing)


def test_an_empty_batch_has_no_rows() -> None:
    ids, times = hash_ngrams([], [], [], buckets=BUCKETS, max_ngrams=PLENTY)
    assert ids.shape[0] == times.shape[0] == 0


def test_fields_have_ranges_of_their_own() -> None:
    title, ocr, asr = hashed(("中国", "", ""), ("", "中国", ""), ("", "", "中国"))
    assert {bucket + BUCKETS for bucket in title} == set(ocr)
    assert {bucket + 2 * BUCKETS for bucket in title} == set(asr)
    assert max(title) < BUCKETS


def test_no_ngram_spans_two_fields() -> None:
    (apart,), (together,) = hashed(("中", "国", "")), hashed(("中国", "", ""))
    assert len(apart) == 2
    assert len(together) == 3


def test_full_width_and_capital_letters_count_as_the_plain_ones() -> None:
    assert hashed(("ＡＢＣ１！", "", "")) == hashed(("abc1!", "", ""))


def test_counts_stop_at_255() -> None:
    (found,) = hashed(("哈" * 300, "", ""))
    assert set(found.values()) == {255}


def test_three_latin_letters_count_and_three_characters_do_not() -> None:
    (latin,) = hashed(("xyz", "", ""))
    (chinese,) = hashed(("丁丂七", "", ""))
    assert len(latin) == 3 + 2 + 1
    assert len(chinese) == 3 + 2


def test_hashes_are_the_same_on_every_machine() -> None:
    ids, times = hash_ngrams(["爱a"], ["0"], ["é"], buckets=65_536, max_ngrams=16)
    assert ids.tolist() == [[16_733, 24_810, 39_170, 85_121, 148_366]]
    assert times.tolist() == [[1, 1, 1, 1, 1]]


def test_mentioned_accounts_do_not_count_and_digits_count_as_one() -> None:
    assert hashed(("好@A用户名（A的id）看 @tom", "", "")) == hashed(("好 看  ", "", ""))
    assert hashed(("热线12345", "", "")) == hashed(("热线99999", "", ""))
    assert spoken("a@b c") == "a  c"
