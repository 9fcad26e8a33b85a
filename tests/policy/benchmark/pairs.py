"""Made-up preference pairs, verdicts on them, and judges of pairs whose answers are known beforehand."""

import json
from pathlib import Path
from typing import Any

from contracts.preferences import PreferencePair
from contracts.reasoning import enveloped
from policy.reasoning.pairwise import BOTH_ORDERS, OrderVerdict, PairVerdict

ONE, TWO = enveloped("the first is better", "1"), enveloped("the second is better", "2")


def pair_of(pair_id: str, image: str | None = None, chosen: str = "better", rejected: str = "worse") -> PreferencePair:
    return PreferencePair(id=pair_id, prompt="What is it?", chosen=chosen, rejected=rejected, image=image)


def verdict_of(*answers: str) -> PairVerdict:
    """One answer to each order, chosen first and then rejected first: 1, 2, or anything else, which is no answer."""
    orders = zip(BOTH_ORDERS, answers, strict=False)
    return PairVerdict(orders=tuple(OrderVerdict.of(order, [enveloped("so", said)]) for order, said in orders))


RIGHT, WRONG, ALWAYS_1, NO_ANSWER = (verdict_of(*said) for said in ("12", "21", "11", "1x"))


def write_pairs(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def row_of(pair_id: str, image: str | None, chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    row = {"id": pair_id, "prompt": "What is it?", "chosen": chosen, "rejected": rejected}
    return row | ({} if image is None else {"image": image}) | more


def shown_to(messages: list[dict[str, Any]]) -> dict[str, str]:
    """The request and the responses that a question's messages hold."""
    text = messages[1]["content"][-1]["text"]
    data: dict[str, str] = json.loads(text.split("<pair_data>\n")[1].split("\n</pair_data>")[0])
    return data


def prefers_longer(messages: list[dict[str, Any]]) -> str:
    shown = shown_to(messages)
    return ONE if len(shown["response_1"]) > len(shown["response_2"]) else TWO


def always_first(_messages: list[dict[str, Any]]) -> str:
    return ONE
