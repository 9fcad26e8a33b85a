"""Preference pairs in, a teacher's judgements out: asked until one is right; how many tries each took is kept.

The cold start of R1-Reward (arXiv 2505.02835, section 4.2): the reward model first imitates a teacher that reasons at
length. A question that the teacher answers rightly at once is easy; RL learns from those that took it more tries, or
that it never got right. The teacher is not told which response is better.

FOLDER/run.json            the plan   FOLDER/journal.jsonl   all answers, each paid once
FOLDER/judgements.jsonl    what became of each question, in the order of the pairs
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from contracts.errors import BadInputError, DependencyError
from contracts.lines import read_lines
from contracts.preferences import PreferenceRow
from contracts.reasoning import Unparsed
from contracts.records import Count, Digest, Id, Record
from policy.kept import read_whole, write_text
from policy.reasoning.asking import each_answer
from policy.reasoning.endpoint import ChatClient, Endpoint, RefusedError
from policy.reasoning.pair_pictures import pictures_of
from policy.reasoning.pairwise import (
    BOTH_ORDERS,
    Order,
    Preference,
    digest_of_prompt,
    messages_of_pair,
    parse_preference,
)
from policy.reasoning.question import Messages
from policy.reasoning.teaching.account import Account, Spent
from policy.reasoning.teaching.course import rule_of
from policy.reasoning.teaching.desk import Desk, Halt, HaltedError, Seat
from policy.reasoning.teaching.journal import Answer, Journal
from policy.reasoning.teaching.pace import Pace
from policy.reasoning.teaching.plan import PLAN, TeachingSettings, folder_of
from policy.reasoning.teaching.prompts import PAIR2COT
from serving.releases import digest_of

JOURNAL, JUDGEMENTS = "journal.jsonl", "judgements.jsonl"
WRONG = "the other response is preferred"
Tries = Annotated[int, Field(strict=True, ge=1)]
Ask = Callable[[int], Answer]


class Asked(NamedTuple):
    """A pair in one order: its id, the two responses as they stand, and the place of the better one."""

    row_id: str
    pair: PreferenceRow
    first: str
    second: str
    right: Preference


class Judgement(Record):
    """What a teacher made of a pair in one order: the text that judges rightly, and at which try it came.

    completion: empty where none of `tries` was right. unusable: how often an answer broke which rule, or was wrong.
    """

    row_id: Id
    completion: str = ""
    tries: Tries
    teacher: str
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    unusable: Mapping[str, int] = Field(default_factory=dict)

    @property
    def hard(self) -> bool:
        """Whether the teacher needed more than one try, or failed."""
        return self.tries > 1 or not self.completion


class JudgementReport(Record):
    """Where all questions went: asked == easy + hard + failed + refused + left; stopped: by the budget, if it was."""

    asked: Count
    easy: Count
    hard: Count
    failed: Count
    refused: Mapping[str, int]
    left: Count
    spent: Spent
    cost: Annotated[float, Field(ge=0.0)]
    stopped: str | None = None


class JudgementPlan(Record):
    """All that what is asked hangs on."""

    pairs: Digest
    teacher: str
    teacher_tokens: Count
    tries: Count
    temperature: float
    pictures: bool
    prompt: Digest


def questions_of(pairs: Sequence[PreferenceRow]) -> list[Asked]:
    """Each pair in both orders; ids are of the line and the place of the better response."""
    return [_question(row, order) for row in pairs for order in BOTH_ORDERS]


def judge_pairs(
    pairs_path: Path,
    pairs: Sequence[PreferenceRow],
    teacher: Endpoint,
    folder: Path,
    settings: TeachingSettings,
    *,
    images: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> JudgementReport:
    """Have the teacher judge each pair in both orders, or go on there; raises as `policy.reasoning.teaching.teach`."""
    plan = JudgementPlan(
        pairs=digest_of(pairs_path),
        teacher=teacher.model,
        teacher_tokens=teacher.most_tokens,
        tries=settings.tries,
        temperature=settings.temperature,
        pictures=images is not None,
        prompt=digest_of_prompt(),
    )
    questions = questions_of(pairs)
    with folder_of(folder, plan), Journal(folder / JOURNAL, warn=warn) as journal:
        account = Account({PAIR2COT: settings.teacher_price}, settings.limits, journal.answers)
        halt = Halt()
        seat = Seat(teacher, ChatClient(teacher, sleep=halt.sleep), Pace(settings.per_minute, sleep=halt.sleep))
        desk = Desk({PAIR2COT: seat}, journal, account, halt, temperature=settings.temperature)

        def one(asked: Asked) -> Judgement | str | None:
            messages = _messages(asked, images)
            try:
                return follow_pair(
                    asked,
                    lambda attempt: desk.ask(asked.row_id, PAIR2COT, attempt, messages),
                    settings.tries,
                    teacher.model,
                )
            except RefusedError as error:
                return error.what
            except (HaltedError, DependencyError):
                return None

        found: dict[int, Judgement | str] = {}
        for place, outcome in each_answer(one, questions, parallel=settings.parallel):
            if outcome is not None:
                found[place] = outcome
                advance(1)
        judged = [one for _, one in sorted(found.items()) if isinstance(one, Judgement)]
        write_text(folder / JUDGEMENTS, "".join(f"{one.model_dump_json()}\n" for one in judged))
    report = JudgementReport(
        asked=len(questions),
        easy=sum(not one.hard for one in judged),
        hard=sum(one.hard and bool(one.completion) for one in judged),
        failed=sum(not one.completion for one in judged),
        refused=Counter(one for one in found.values() if isinstance(one, str)),
        left=len(questions) - len(found),
        spent=account.spent[PAIR2COT],
        cost=account.money,
        stopped=None if halt.spent is None else str(halt.spent),
    )
    if halt.away is not None and halt.spent is None and report.left:
        raise DependencyError(f"{halt.away}; {report.left} of {report.asked} questions are left, what was done is kept")
    return report


def follow_pair(asked: Asked, ask: Ask, tries: int, teacher: str) -> Judgement:
    """Ask until a judgement is right, at most `tries` times."""
    unusable, prompt, completion = Counter[str](), 0, 0
    text, attempt = "", 0
    for attempt in range(1, tries + 1):
        answer = ask(attempt)
        prompt, completion = prompt + answer.prompt_tokens, completion + answer.completion_tokens
        found = Unparsed(answer.unusable) if answer.unusable else parse_preference(answer.text)
        if found == asked.right:
            text = answer.text
            break
        unusable[rule_of(found) if isinstance(found, Unparsed) else WRONG] += 1
    return Judgement(
        row_id=asked.row_id,
        completion=text,
        tries=attempt,
        teacher=teacher,
        prompt_tokens=prompt,
        completion_tokens=completion,
        unusable=dict(sorted(unusable.items())),
    )


def read_judgements(folder: Path, pairs_path: Path, *, pictures: bool) -> dict[str, Judgement]:
    """What became of each question, by its id.

    Raises `BadInputError` by line, where there are none, or where they are of other pairs.
    """
    path = folder / JUDGEMENTS
    if not path.is_file():
        raise BadInputError(f"{path}: is missing, `precedent vlm teach-pairs` writes it")
    plan = read_whole(folder / PLAN, JudgementPlan)
    if (found := digest_of(pairs_path)) != plan.pairs:
        raise BadInputError(f"{pairs_path}: digest is {found}, {folder} judged {plan.pairs}")
    if pictures != plan.pictures:
        raise BadInputError(f"{folder}: was judged {'with' if plan.pictures else 'without'} pictures, must be as now")
    return {one.row_id: one for one in read_lines(path, Judgement)}


def _question(row: PreferenceRow, order: Order) -> Asked:
    right: Preference = 1 if order is Order.CHOSEN_FIRST else 2
    both = (row.pair.chosen, row.pair.rejected)
    first, second = both if right == 1 else both[::-1]
    return Asked(f"pair-{row.number}.{right}", row, first, second, right)


def _messages(asked: Asked, images: Path | None) -> Messages:
    return messages_of_pair(asked.pair.pair.prompt, asked.first, asked.second, pictures_of(asked.pair.pair, images))
