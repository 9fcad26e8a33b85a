"""The command on real questions to a judge on loopback: figures, predictions, pictures, and a run that goes on."""

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from contracts.errors import BadInputError, DependencyError
from contracts.preferences import read_preferences
from policy.benchmark.reward import Asking, orders_of, read_pairs
from policy.commands.scoring import benchmark
from policy.reasoning.pairwise import BOTH_ORDERS, Order
from tests.policy.benchmark.pairs import TWO, always_first, prefers_longer, row_of, shown_to, write_pairs
from tests.policy.reasoning.gullible import judge_on_loopback

PUBLIC_PAIRS = Path(__file__).parents[4] / "shared" / "reward_bench" / "mm_rlhf_reward_bench.jsonl"
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC")
ROWS = [
    row_of("a", "mcq/1.png", "a long answer", "short", chosen_reason="it is 分 right", score=1.50),
    row_of("a", "mcq/1.png", "an even longer one", "middling"),
    row_of("b", "long/2.png", "tiny", "a long one that is wrong"),
    row_of("b", "long/2.png", "the longest of all of them", "a long one that is wrong"),
]


def run(*words: Any) -> Result:
    return CliRunner().invoke(benchmark, ["reward", *map(str, words)], catch_exceptions=False)


def test_a_judge_who_prefers_the_longer_response_is_scored_by_hand(tmp_path: Path) -> None:
    pairs, out, report = write_pairs(tmp_path / "pairs.jsonl", ROWS), tmp_path / "out.jsonl", tmp_path / "report.json"
    with judge_on_loopback(prefers_longer) as judge:
        done = run("--pairs", pairs, "--judge", judge.url, "--votes", 3, "--predictions", out, "--report", report)
        assert len(judge.asked) == 4 * 2 * 3
        assert {body["temperature"] for body in judge.asked} == {1.0}, "votes are samples"
    assert done.exit_code == 0
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert figures["total"]["accuracy"]["estimate"] == 3 / 4
    assert figures["total"]["acc_plus"]["estimate"] == 1 / 2
    assert [(row["name"], row["accuracy"]["estimate"]) for row in figures["by_kind"]] == [("long", 0.5), ("mcq", 1.0)]
    assert figures["consistency"]["estimate"] == 1.0
    assert figures["first_place"]["estimate"] == 0.5
    lines = out.read_text(encoding="utf-8").splitlines()
    before = pairs.read_text(encoding="utf-8").splitlines()
    rewards = ["[1.0, 0.0]", "[1.0, 0.0]", "[0.0, 1.0]", "[1.0, 0.0]"]
    assert lines == [f'{line[:-1]}, "rewards": {said}}}' for line, said in zip(before, rewards, strict=True)]


def test_position_bias_is_seen_in_a_judge_who_always_answers_1(tmp_path: Path) -> None:
    pairs, report = write_pairs(tmp_path / "pairs.jsonl", ROWS), tmp_path / "report.json"
    with judge_on_loopback(always_first) as judge:
        done = run("--pairs", pairs, "--judge", judge.url, "--votes", 1, "--report", report)
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert figures["total"]["accuracy"]["estimate"] == 0.5
    assert figures["total"]["acc_plus"]["estimate"] == 1 / 4
    assert figures["total"]["pooled"]["estimate"] == 0.0
    assert figures["consistency"]["estimate"] == 0.0
    assert figures["first_place"]["estimate"] == 1.0
    assert "same preference in both orders: 0.000 [0.000," in done.output


def test_a_judge_who_says_nothing_usable_is_wrong_about_everything_and_told_why(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.jsonl", ROWS)
    with judge_on_loopback(lambda _: "Response 1 is better.") as judge:
        done = run("--pairs", pairs, "--judge", judge.url, "--votes", 2, "--predictions", tmp_path / "out.jsonl")
    assert done.output.splitlines()[1].split()[:4] == ["all", "4", "2", "0.000"]
    assert "16 of 16 answers were not of the form; 4 pairs had an order without a usable answer" in done.output
    assert "    16  <think> stands 0 times, must stand once" in done.output
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["rewards"] for row in written] == [[0.0, 0.0]] * 4


def test_a_run_that_the_judge_left_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    pairs, out = write_pairs(tmp_path / "pairs.jsonl", ROWS), tmp_path / "out.jsonl"
    with judge_on_loopback(prefers_longer) as judge:
        words = ("--pairs", pairs, "--judge", judge.url, "--votes", 1, "--predictions", out, "--timeout", 1)
        asked_before: list[str] = []

        def answers_five(messages: list[dict[str, Any]]) -> str:
            asked_before.append(shown_to(messages)["response_1"])
            if len(asked_before) == 5:
                judge.failures, judge.retry_after = [503] * 99, "60"
            return prefers_longer(messages)

        judge.answer = answers_five
        with pytest.raises(DependencyError, match="does not answer in 3 s: answers 503"):
            run(*words, "--parallel", 1)
        assert not out.exists(), "a file of some predictions would be taken for all of them"
        kept = (tmp_path / "out.jsonl.answers").read_bytes()
        assert kept.count(b"\n") == 1 + 2, "the head, and the two pairs with both orders answered"
        (tmp_path / "out.jsonl.answers").write_bytes(kept + b'{"key": "3", "answ')  # as when the run was killed
        judge.failures, judge.answer = [], prefers_longer
        judge.asked.clear()
        done = run(*words)
        assert len(judge.asked) == 2 * 2, "two pairs in two orders are left"
        assert done.output.splitlines()[1].split()[:4] == ["all", "4", "2", "0.750"]
        with pytest.raises(BadInputError, match=r"was begun with votes == 1, now votes == 2"):
            run(*words, "--votes", 2)
        judge.asked.clear()
        assert run(*words).output == done.output
        assert judge.asked == [], "a whole run is not asked again"
        pairs.write_text(pairs.read_text(encoding="utf-8").replace("tiny", "teeny"), encoding="utf-8")
        with pytest.raises(BadInputError, match=r"was begun with pairs == 'sha256:"):
            run(*words)


def test_pictures_are_shown_and_a_missing_one_is_found_before_anything_is_asked(tmp_path: Path) -> None:
    rows = [*ROWS[:2], {**row_of("v", None, "a long answer", "short"), "video": "video/clip"}]
    pairs = write_pairs(tmp_path / "pairs.jsonl", rows)
    (tmp_path / "mcq").mkdir()
    (tmp_path / "video" / "clip").mkdir(parents=True)
    for name in ("10.png", "2.png", *(f"{n}.png" for n in range(11, 30))):
        (tmp_path / "video" / "clip" / name).write_bytes(PNG + name.encode())
    with judge_on_loopback(prefers_longer) as judge:
        words = ("--pairs", pairs, "--judge", judge.url, "--votes", 1, "--images", tmp_path)
        with pytest.raises(BadInputError, match=r"row 1, id a: .*/mcq/1\.png: is not a file, must be the picture"):
            run(*words)
        (tmp_path / "mcq" / "1.png").write_bytes(b"<svg/>")
        with pytest.raises(BadInputError, match=r"row 1, id a: .*/mcq/1\.png: must be one of image/png"):
            run(*words)
        assert judge.asked == []
        (tmp_path / "mcq" / "1.png").write_bytes(PNG)
        assert run(*words).exit_code == 0
        shown = [[part["type"] for part in body["messages"][1]["content"]] for body in judge.asked]
        assert Counter(map(len, shown)) == {2: 4, 9: 2}, "one picture, or eight frames, and the words"
        urls = [
            part["image_url"]["url"]
            for body in judge.asked
            for part in body["messages"][1]["content"][:-1]
            if len(body["messages"][1]["content"]) == 9
        ]
        assert base64.b64decode(urls[0].removeprefix("data:image/png;base64,")) == PNG + b"2.png"
        assert base64.b64decode(urls[7].removeprefix("data:image/png;base64,")) == PNG + b"29.png"


def test_a_picture_outside_the_root_is_refused(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.jsonl", [row_of("a", "../secret.png", "x", "y")])
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "images").mkdir()
    with pytest.raises(BadInputError, match=r"row 1, id a: \.\./secret\.png: lies outside"):
        read_pairs(pairs, Asking(images=tmp_path / "images"))


def test_a_seed_draws_one_order_for_each_pair_and_the_same_again() -> None:
    drawn = orders_of(1_000, Asking("seeded", seed=3))
    assert drawn == orders_of(1_000, Asking("seeded", seed=3))
    assert drawn != orders_of(1_000, Asking("seeded", seed=4))
    assert {len(one) for one in drawn} == {1}
    assert 440 < sum(one == (Order.CHOSEN_FIRST,) for one in drawn) < 560  # a fair coin: 500, sd 16
    assert orders_of(2, Asking()) == [BOTH_ORDERS, BOTH_ORDERS]


def test_one_seeded_order_is_asked_once_each(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.jsonl", ROWS)
    with judge_on_loopback(lambda _: TWO) as judge:
        done = run("--pairs", pairs, "--judge", judge.url, "--votes", 1, "--orders", "seeded", "--seed", 5)
        assert len(judge.asked) == 4
    rejected_first = sum(one == (Order.REJECTED_FIRST,) for one in orders_of(4, Asking("seeded", seed=5)))
    assert done.output.splitlines()[1].split()[3] == f"{rejected_first / 4:.3f}"
    assert "nothing is known of their consistency" in done.output


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"id": "a", "prompt": "p", "chosen": "c"}', r":2: rejected: Field required"),
        ("{", r":2: record: Invalid JSON"),
        ('{"id": "a", "prompt": "p", "chosen": "c", "rejected": "r", "rewards": [1, 0]}', r":2: has rewards already"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, line: str, rule: str) -> None:
    pairs = write_pairs(tmp_path / "pairs.jsonl", ROWS[:1])
    pairs.write_text(pairs.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=rule):
        read_pairs(pairs, Asking())


@pytest.mark.skipif(not PUBLIC_PAIRS.exists(), reason="the public reward pairs do not lie beside the project")
def test_the_public_pairs_are_read_whole_and_a_judge_of_length_is_scored_as_counted_apart(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in PUBLIC_PAIRS.read_text(encoding="utf-8").splitlines()]
    assert Counter(row.pair.kind for row in read_preferences(PUBLIC_PAIRS)) == {
        "mcq": 42,
        "long": 37,
        "short": 34,
        "safety": 32,
        "video": 25,
    }
    report, out = tmp_path / "report.json", tmp_path / "out.jsonl"
    with judge_on_loopback(prefers_longer) as judge:
        run("--pairs", PUBLIC_PAIRS, "--judge", judge.url, "--votes", 1, "--report", report, "--predictions", out)
    figures = json.loads(report.read_text(encoding="utf-8"))

    def worth(row: dict[str, Any]) -> float:
        """Of responses of one length the second is preferred: right in one order of two."""
        longer = len(row["chosen"]) - len(row["rejected"])
        return 0.5 if longer == 0 else float(longer > 0)

    by_id: dict[str, float] = {}
    for row in rows:
        by_id[row["id"]] = by_id.get(row["id"], 1.0) * worth(row)
    assert (figures["total"]["pairs"], figures["total"]["ids"]) == (170, 46)
    assert figures["total"]["accuracy"]["estimate"] == pytest.approx(sum(map(worth, rows)) / 170)
    assert figures["total"]["acc_plus"]["estimate"] == pytest.approx(sum(by_id.values()) / 46)
    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [{name: row[name] for name in row if name != "rewards"} for row in written] == rows
    above = sum(chosen > rejected for chosen, rejected in (row["rewards"] for row in written))
    assert figures["total"]["pooled"]["estimate"] == pytest.approx(above / 170), "as the public script counts"
    assert figures["by_group"] == [], "no id is named as in VL Reward-Bench"
