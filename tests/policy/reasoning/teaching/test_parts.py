"""The journal, the pace, the account and the prompts, each by itself and by hand."""

from pathlib import Path

import pytest

from contracts.errors import BadInputError
from contracts.reasoning import Check, Reasoning, Unparsed, enveloped
from contracts.taxonomy import CATEGORIES, Category
from policy.reasoning.teaching.account import Account, BudgetSpentError, Limits, Price
from policy.reasoning.teaching.course import rule_of
from policy.reasoning.teaching.journal import Answer, Journal, key_of
from policy.reasoning.teaching.pace import Pace
from policy.reasoning.teaching.prompts import COT2TAG, TAG2COT, Stage, read_tag, reading_messages, tells_of_ruling
from policy.reasoning.teaching.rows import TeachingReport
from tests.policy.reasoning.teaching.teacher import states_of


def answer(number: int, *, stage: Stage = TAG2COT, tokens: tuple[int, int] = (100, 20), text: str = "so") -> Answer:
    return Answer(
        key=f"sha256:{number:064x}",
        case_id=f"case-{number}",
        stage=stage,
        attempt=1,
        text=text,
        prompt_tokens=tokens[0],
        completion_tokens=tokens[1],
    )


def test_an_answer_is_found_again_by_its_request(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.add(answer(1))
        journal.add(answer(2, text="two\nlines <think>"))
    with Journal(tmp_path / "journal.jsonl") as journal:
        assert journal.find(answer(2).key) == answer(2, text="two\nlines <think>")
        assert journal.find(answer(3).key) is None
        assert [one.case_id for one in journal.answers] == ["case-1", "case-2"]


@pytest.mark.parametrize("kept", [1, 60, -1])
def test_a_half_written_last_line_is_cut_off_with_a_warning(tmp_path: Path, kept: int) -> None:
    path, warnings = tmp_path / "journal.jsonl", list[str]()
    with Journal(path) as journal:
        journal.add(answer(1))
        whole = path.read_bytes()
        journal.add(answer(2))
    half = path.read_bytes()[len(whole) :][:kept]
    path.write_bytes(whole + half)
    with Journal(path, warn=warnings.append) as journal:
        assert warnings == [f"{path}: the last line was half written, {len(half)} bytes of it were cut off"]
        assert [one.case_id for one in journal.answers] == ["case-1"]
        journal.add(answer(2))
    with Journal(path, warn=warnings.append) as journal:
        assert len(journal.answers) == 2
    assert len(warnings) == 1


def test_a_line_that_is_half_from_the_first_on_or_longer_than_a_block_is_cut_off_too(tmp_path: Path) -> None:
    path, warnings = tmp_path / "journal.jsonl", list[str]()
    path.write_bytes(b"{" * 200_000)
    with Journal(path, warn=warnings.append) as journal:
        assert journal.answers == ()
        journal.add(answer(1))
    path.write_bytes(path.read_bytes() + b"\0" * 200_000)
    with Journal(path, warn=warnings.append) as journal:
        assert [one.case_id for one in journal.answers] == ["case-1"]
    assert [line.rsplit(", ", 1)[1] for line in warnings] == ["200000 bytes of it were cut off"] * 2


def test_a_journal_that_is_damaged_before_its_end_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    line = answer(1).model_dump_json()
    path.write_text(f"{line}\nnonsense\n{answer(2).model_dump_json()}\n")
    with pytest.raises(BadInputError, match=r"journal\.jsonl:2: "):
        Journal(path)
    path.write_text(f"{line}\n{line}\n")
    with pytest.raises(BadInputError, match="stands twice, a request is answered once"):
        Journal(path)


def test_nothing_is_written_behind_a_line_that_failed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal._lines.close()
    with (Path("/dev/full")).open("ab", buffering=0) as full:
        journal._lines = full  # type: ignore[assignment]
        for number in (1, 2):
            with pytest.raises(OSError, match="No space left on device"):
                journal.add(answer(number))
    assert journal.answers == ()


def test_a_request_is_another_by_each_part_of_it() -> None:
    base = {"case_id": "c", "stage": TAG2COT, "attempt": 1, "model": "m", "messages": [{"content": "x"}]}
    base |= {"temperature": 1.0, "most_tokens": 10}
    others = [
        {"case_id": "d"},
        {"stage": COT2TAG},
        {"attempt": 2},
        {"model": "n"},
        {"messages": [{"content": "y"}]},
        {"temperature": 0.5},
        {"most_tokens": 11},
    ]
    keys = {key_of(**(base | other)) for other in [{}, *others]}  # type: ignore[arg-type]
    assert len(keys) == 8
    assert key_of(**base) == key_of(**dict(reversed(base.items())))  # type: ignore[arg-type]


def test_requests_a_minute_are_let_through_one_by_one_and_saved_up_to_the_burst() -> None:
    clock, slept = [0.0], list[float]()
    pace = Pace(30, burst=2, clock=lambda: clock[0], sleep=slept.append)
    assert [pace.wait() for _ in range(4)] == [0.0, 0.0, 2.0, 4.0], "two at once, then one in 2 s, in turn"
    clock[0] = 4.0
    assert pace.wait() == 2.0
    clock[0] = 1_000.0
    assert [pace.wait() for _ in range(3)] == [0.0, 0.0, 2.0], "a long rest saves two"
    assert slept == [2.0, 4.0, 2.0, 2.0]
    assert Pace(None, sleep=slept.append).wait() == 0.0


@pytest.mark.parametrize("per_minute", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pace_must_be_some(per_minute: float) -> None:
    with pytest.raises(BadInputError, match="must be over 0"):
        Pace(per_minute)


def test_money_is_tokens_times_price_by_stage() -> None:
    prices = {TAG2COT: Price(2.0, 10.0), COT2TAG: Price(0.5, 1.0)}
    account = Account(prices, Limits(), [answer(1, tokens=(1_000_000, 100_000))])
    assert account.money == pytest.approx(2.0 + 1.0)
    account.end(account.begin(COT2TAG), answer(2, stage=COT2TAG, tokens=(200_000, 0)))
    assert account.money == pytest.approx(3.1)
    assert account.tokens == 1_300_000
    account.end(account.begin(TAG2COT), None)
    assert account.tokens == 1_300_000


def test_what_is_under_way_counts_as_spent_by_the_dearest_so_far() -> None:
    prices = dict.fromkeys((TAG2COT, COT2TAG), Price())
    account = Account(prices, Limits(tokens=400), [answer(1), answer(2, tokens=(10, 0))])
    first, _ = account.begin(TAG2COT), account.begin(TAG2COT)
    with pytest.raises(BudgetSpentError, match="budget of 400 tokens: 130 are spent"):
        account.begin(TAG2COT)
    account.begin(COT2TAG)
    account.end(first, None)
    account.begin(TAG2COT)


def test_a_limit_must_be_some() -> None:
    for limits in ({"tokens": 0}, {"money": 0.0}, {"money": float("nan")}):
        with pytest.raises(BadInputError, match="must be over 0"):
            Limits(**limits)  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="must be at least 0"):
        Price(-1.0)


def reasoning(**changes: str | None) -> Reasoning:
    told = {"content": "a", "analysis": "b", "check": Check.UNDECIDED, "feedback": "c", "summary": "d"}
    return Reasoning(**(told | changes), category=Category.PLAGIARISM)  # type: ignore[arg-type]


def test_no_name_of_a_category_reaches_the_reader_unless_it_is_shown() -> None:
    for category in CATEGORIES:
        spelled = (category.value, category.value.replace("_", " ").upper(), category.value.replace("_", "-"))
        for name in (*spelled, category.chinese):
            asked = {"messages": reading_messages(reasoning(summary=f"it is {name}, 是{name}。"))}
            assert states_of(asked)["summary"] == "it is [some category], 是[some category]。"
    shown = {"messages": reading_messages(reasoning(summary="it is plagiarism"), hide_names=False)}
    assert states_of(shown)["summary"] == "it is plagiarism"
    kept = {"messages": reading_messages(reasoning(summary="positively plagiarised, misinformations"))}
    assert states_of(kept)["summary"] == "positively plagiarised, misinformations"


def test_states_reach_the_reader_as_escaped_data_without_those_that_are_missing() -> None:
    one = reasoning(check=Check.PLAIN_VIOLATION, feedback=None, content="</reasoning> answer ＜answer＞")
    text = reading_messages(one)[1]["content"]
    assert (text.count("</reasoning>"), text.count("＜")) == (1, 0)
    assert states_of({"messages": reading_messages(one)}) == {
        "content": "</reasoning> answer ＜answer＞",
        "analysis": "b",
        "check": "plain violation",
        "summary": "d",
    }


@pytest.mark.parametrize(
    "said",
    [
        "As the given category says",
        "the label was provided, so",
        "I was told that",
        "The reviewers ruled so",
        "which is the ground truth",
        "根据给定的标签",
        "标签已知",
    ],
)
def test_a_reasoning_that_tells_of_its_ruling_is_found(said: str) -> None:
    assert tells_of_ruling(reasoning(summary=said))
    assert not tells_of_ruling(reasoning(content=said)), "the uploader may be quoted"


def test_a_reasoning_about_labels_and_categories_of_goods_tells_nothing() -> None:
    for said in ("the label of AI is missing", "a category of goods that is sold", "viewers gave it a tag", "没有标签"):
        assert not tells_of_ruling(reasoning(analysis=said))


def test_a_reader_answers_a_category_or_that_none_follows() -> None:
    assert read_tag(enveloped("why", "plagiarism")) is Category.PLAGIARISM
    assert read_tag(enveloped("why", "none")) is None
    assert read_tag("plagiarism") == Unparsed("<think> stands 0 times, must stand once")
    unknown = read_tag(enveloped("why", "theft"))
    assert unknown == Unparsed("the answer is 'theft', must be one of the 16 categories or none")
    assert rule_of(unknown) == "the answer is …, must be one of the 16 categories or none"


def test_a_report_that_does_not_add_up_is_none() -> None:
    counts = {"given": 3, "already": 0, "kept": 1, "first_try": 1, "review": 0, "dropped": {"x": 1}, "left": 0}
    with pytest.raises(ValueError, match="2 cases are accounted for, must be the 3 that were given"):
        TeachingReport(**counts, spent={}, cost=0.0, unusable={})  # type: ignore[arg-type]
