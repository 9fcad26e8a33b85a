"""A sound policy in, a damaged release out: seeded damages that the gate must refuse, each by what it broke."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench.gate.releases import SETTINGS, write
from contracts.taxonomy import CATEGORIES, Category, Group
from policy.casebook import Evidence
from policy.train import Policy, train
from policy.word_fit import WordSettings
from serving.releases import CASEBOOK, MANIFEST, STUDENT

Damage = Callable[[Policy, list[Evidence], Path], None]
"""Writes a damaged release at a path, from a sound policy and what taught it."""


def _shuffled_labels(_: Policy, taught: list[Evidence], path: Path) -> None:
    order = np.random.default_rng(7).permutation(len(taught))
    cases = [
        Evidence(item.case.model_copy(update={"category": taught[other].case.category}), None)
        for item, other in zip(taught, order, strict=True)
    ]
    write(train(cases, settings=SETTINGS, seed=7), cases, path)


def _changed(change: Callable[[Policy], Policy]) -> Damage:
    return lambda policy, taught, path: write(change(copy.deepcopy(policy)), taught, path)


def _line(toxicity: float) -> Callable[[Policy], Policy]:
    return lambda policy: replace(policy, thresholds=policy.thresholds.model_copy(update={"toxicity": toxicity}))


def _remove_at(line: float) -> Callable[[Policy], Policy]:
    def change(policy: Policy) -> Policy:
        one = {"demote": line, "review": line, "remove": line}
        lines = {category: type(old)(**one) for category, old in policy.thresholds.by_category.items()}
        return replace(policy, thresholds=policy.thresholds.model_copy(update={"by_category": lines}))

    return change


def _zeroed(category: Category) -> Callable[[Policy], Policy]:
    def change(policy: Policy) -> Policy:
        with torch.no_grad():
            policy.student.text.table[:, 1 + category.position] = 0.0
            policy.student.text.bias[category.position] = 0.0
        return policy

    return change


def _sharpened(policy: Policy) -> Policy:
    policy.student.log_temperature -= float(np.log(4.0))
    return policy


def _biased(logits: float) -> Callable[[Policy], Policy]:
    """The odds of positive, shifted: without fusion they come from the words, whose stack ends in the shift."""

    def change(policy: Policy) -> Policy:
        policy.student.text.stack[2] += logits
        return policy

    return change


def _too_certain(policy: Policy) -> Policy:
    policy.student.text.stack *= 3.0
    return policy


def _not_a_number(policy: Policy) -> Policy:
    policy.student.text.bias[0] = float("nan")
    return policy


def _swapped(one: Category, other: Category) -> Callable[[Policy], Policy]:
    def change(policy: Policy) -> Policy:
        text, here = policy.student.text, [one.position, other.position]
        with torch.no_grad():
            text.table[:, [1 + at for at in here]] = text.table[:, [1 + at for at in here[::-1]]]
            text.bias[here] = text.bias[here[::-1]]
        return policy

    return change


def _slow(policy: Policy) -> Policy:
    """Every taught case a hundred times: the same votes, a hundred times the work."""
    text = policy.student.text
    text.taught = text.taught.repeat(100, 1)
    text.taught_violative = text.taught_violative.repeat(100)
    return policy


def _category_lines(category: Category, line: float) -> Callable[[Policy], Policy]:
    def change(policy: Policy) -> Policy:
        lines = dict(policy.thresholds.by_category)
        lines[category] = type(lines[category])(demote=line, review=line, remove=line)
        return replace(policy, thresholds=policy.thresholds.model_copy(update={"by_category": lines}))

    return change


def _embedded_by_another(policy: Policy) -> Policy:
    """A casebook in another student's space: turned by a random rotation."""
    width = policy.casebook.width
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(width, width)))[0].astype(np.float32)
    return replace(policy, casebook=replace(policy.casebook, embeddings=policy.casebook.embeddings @ turn))


def _shouting(policy: Policy) -> Policy:
    blend = replace(policy.casebook.blend, strength=500.0, floor=0.0, k=64)
    return replace(policy, casebook=replace(policy.casebook, blend=blend, floors=None))


def _forgotten(category: Category) -> Callable[[Policy], Policy]:
    def change(policy: Policy) -> Policy:
        rows = np.flatnonzero(policy.casebook.categories != category.position)
        kept = policy.casebook.only(rows)
        return replace(policy, casebook=kept, precedents=[policy.precedents[row] for row in rows.tolist()])

    return change


def _other_buckets(policy: Policy, taught: list[Evidence], path: Path) -> None:
    """The manifest says fewer hash buckets than the student was trained with."""
    fewer = replace(SETTINGS, inputs=SETTINGS.inputs.model_copy(update={"text_buckets": 32_768}))
    write(policy, taught, path, settings=fewer)


def _retaught(ruled: Callable[[list[Evidence]], list[Evidence]]) -> Damage:
    def damage(_: Policy, taught: list[Evidence], path: Path) -> None:
        cases = ruled(taught)
        write(train(cases, settings=SETTINGS, seed=7), cases, path)

    return damage


def _ruled(item: Evidence, category: Category) -> Evidence:
    return Evidence(item.case.model_copy(update={"category": category}), item.frames)


def _half_positive(group: Group) -> Callable[[list[Evidence]], list[Evidence]]:
    """Every second case of a group was ruled positive: about half of its recall is lost."""

    def ruled(taught: list[Evidence]) -> list[Evidence]:
        drawn = np.random.default_rng(5).random(len(taught)) < 0.5
        return [
            _ruled(item, Category.POSITIVE) if item.case.category.group is group and flip else item
            for item, flip in zip(taught, drawn.tolist(), strict=True)
        ]

    return ruled


def _flipped(share: float, category: Category) -> Callable[[list[Evidence]], list[Evidence]]:
    """Adversarial rulings: cases of one category, up to a share of all cases, were ruled positive."""

    def ruled(taught: list[Evidence]) -> list[Evidence]:
        rows = [row for row, item in enumerate(taught) if item.case.category is category]
        flipped = frozenset(rows[: round(share * len(taught))])
        return [_ruled(item, Category.POSITIVE) if row in flipped else item for row, item in enumerate(taught)]

    return ruled


def _overfit(_: Policy, taught: list[Evidence], path: Path) -> None:
    """Fitted to one case in twenty almost without penalty, and certain of it: what it left out judges nothing."""
    few = taught[:: max(1, len(taught) // 150)]
    text = replace(SETTINGS.text, words=WordSettings(violative_c=1e5, category_c=1e5), smallest_df=1)
    policy = train(few, settings=replace(SETTINGS, text=text), seed=7)
    policy.student.text.stack[:] = torch.tensor([0.0, 4.0, 0.0])
    write(policy, few, path)


def _no_precedents(policy: Policy) -> Policy:
    empty = policy.casebook.only(np.zeros(0, np.int64))
    return replace(policy, casebook=empty, precedents=[])


def _mislabelled(policy: Policy) -> Policy:
    turned = (policy.casebook.categories + 5) % len(CATEGORIES)
    return replace(policy, casebook=replace(policy.casebook, categories=turned.astype(np.int32)))


def _truncated(name: str) -> Damage:
    def damage(policy: Policy, taught: list[Evidence], path: Path) -> None:
        write(policy, taught, path)
        whole = (path / name).read_bytes()
        (path / name).write_bytes(whole[: len(whole) // 2])

    return damage


DAMAGES: dict[str, Damage] = {
    "labels shuffled": _shuffled_labels,
    "line moved to 0.3": _changed(_line(0.3)),
    "line moved to 0.7": _changed(_line(0.7)),
    "removes from 0.3": _changed(_remove_at(0.3)),
    "reviews and removes nothing": _changed(_remove_at(1.01)),
    "plagiarism removed from 0.02": _changed(_category_lines(Category.PLAGIARISM, 0.02)),
    "sexual content zeroed": _changed(_zeroed(Category.SEXUAL_CONTENT)),
    "plagiarism zeroed": _changed(_zeroed(Category.PLAGIARISM)),
    "two categories swapped": _changed(_swapped(Category.SEXUAL_CONTENT, Category.MISINFORMATION)),
    "names four times too certain": _changed(_sharpened),
    "odds three times too certain": _changed(_too_certain),
    "biased to positive": _changed(_biased(2.0)),
    "biased to violative": _changed(_biased(-1.0)),
    "not a number": _changed(_not_a_number),
    "slow student": _changed(_slow),
    "other hash buckets": _other_buckets,
    "half of a group's recall": _retaught(_half_positive(Group.CONTENT_ETHICS)),
    "5% of labels flipped in one": _retaught(_flipped(0.05, Category.SEXUAL_CONTENT)),
    "overfit to few": _overfit,
    "casebook emptied": _changed(_no_precedents),
    "casebook mislabelled": _changed(_mislabelled),
    "casebook of another student": _changed(_embedded_by_another),
    "casebook too loud": _changed(_shouting),
    "sexual content not cited": _changed(_forgotten(Category.SEXUAL_CONTENT)),
    "student truncated": _truncated(STUDENT),
    "casebook truncated": _truncated(CASEBOOK),
    "manifest truncated": _truncated(MANIFEST),
}
NAMED: dict[str, str] = {
    "labels shuffled": "binary accuracy",
    "line moved to 0.3": "clean videos not demoted",
    "line moved to 0.7": "stare decisis",
    "removes from 0.3": "clean videos not removed",
    "reviews and removes nothing": "harmful videos acted on",
    "plagiarism removed from 0.02": "clean videos not removed",
    "sexual content zeroed": "sexual_content named",
    "plagiarism zeroed": "plagiarism named",
    "two categories swapped": "misinformation named",
    "names four times too certain": "names:",
    "odds three times too certain": "calibration",
    "biased to positive": "recall of",
    "biased to violative": "clean videos not demoted",
    "not a number": "student.onnx",
    "slow student": "latency",
    "half of a group's recall": "recall of content_ethics",
    "5% of labels flipped in one": "recall of content_ethics",
    "overfit to few": "binary accuracy",
    "casebook emptied": "precedents",
    "casebook mislabelled": "nearest precedent agrees",
    "casebook of another student": "nearest precedent agrees",
    "sexual content not cited": "precedents of sexual_content",
    "student truncated": "student.onnx",
    "casebook truncated": "casebook.onnx",
    "manifest truncated": "release.json",
}
"""What some reason of the refusal must name, for those damages that have a name of their own."""
