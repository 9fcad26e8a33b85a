"""Decided cases in, the cases' reasonings out: each answer is kept as it comes, so that a run can always go on.

    cases -> decode -> Tag2CoT -> CoT2Tag -> reasonings.jsonl, review.jsonl, dropped.jsonl, report.json

FOLDER/run.json is the plan, FOLDER/journal.jsonl all answers. A killed process has nothing to repair: the same call
goes on, pays again for no answer, and what it writes in the end is what it would have written in one go.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from contracts.cases import DecidedCase
from contracts.errors import BadInputError, DependencyError
from contracts.reasoning import Reasoning, parse_states
from policy.casebook import Frames
from policy.kept import write_text
from policy.reasoning.endpoint import ChatClient, Endpoint
from policy.reasoning.teaching.account import Account
from policy.reasoning.teaching.course import Ask, follow
from policy.reasoning.teaching.desk import Desk, Halt, HaltedError, Seat
from policy.reasoning.teaching.journal import Journal
from policy.reasoning.teaching.pace import Pace
from policy.reasoning.teaching.pictures import Look
from policy.reasoning.teaching.plan import Plan, TeachingSettings, folder_of
from policy.reasoning.teaching.prompts import COT2TAG, TAG2COT, Stage
from policy.reasoning.teaching.rows import Outcome, TeachingReport, reasoned, report_of, sorted_out, write_outcomes
from policy.reasoning.teaching.threads import each_outcome

JOURNAL = "journal.jsonl"


def teach(
    cases: Sequence[DecidedCase],
    teacher: Endpoint,
    reader: Endpoint,
    folder: Path,
    settings: TeachingSettings,
    look: Look,
    *,
    out_cases: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> TeachingReport:
    """Teach `cases` in `folder`, or go on there; `out_cases`: all cases again, with their reasoning, as JSON lines.

    Where the budget ends, the report says so and cases are left. Raises `DependencyError` where an endpoint did not
    answer in its patience, once all else is done and written; `BadInputError` where one refuses what it is asked,
    where the folder belongs to another plan, or where its journal is damaged.
    """
    if twice := [case_id for case_id, times in Counter(case.case_id for case in cases).items() if times > 1]:
        raise BadInputError(f"case_id == {twice[0]!r} stands twice, must be unique (cases to teach)")
    if out_cases is not None and not out_cases.parent.is_dir():
        raise BadInputError(f"{out_cases}: {out_cases.parent} must be a folder")
    unreasoned = [case for case in cases if not is_reasoned(case)]
    with folder_of(folder, Plan.of(cases, teacher, reader, settings)), Journal(folder / JOURNAL, warn=warn) as journal:
        prices = {TAG2COT: settings.teacher_price, COT2TAG: settings.reader_price}
        account = Account(prices, settings.limits, journal.answers)
        halt = Halt()
        desk = _desk(teacher, reader, settings, journal, account, halt)

        def one(case: DecidedCase, frames: Frames, ask: Ask | None = None) -> Outcome:
            ask = ask or desk.asker(case.case_id)
            return follow(case, frames, ask, settings, teacher=teacher.model, reader=reader.model)

        found = dict[str, Outcome]()
        for case in unreasoned:  # what is done is done, even where its media went away meanwhile
            with suppress(HaltedError):
                found[case.case_id] = one(case, None, desk.known(case.case_id))
        advance(len(cases) - len(unreasoned) + len(found))
        rest = [case for case in unreasoned if case.case_id not in found]
        fresh = each_outcome(rest, one, look, halt, parallel=settings.parallel, advance=advance)
        found |= {outcome.case_id: outcome for outcome in fresh}
        outcomes = [found[case.case_id] for case in unreasoned if case.case_id in found]
        report = report_of(
            cases,
            outcomes,
            settings.disagreements,
            already=len(cases) - len(unreasoned),
            spent=account.spent,
            cost=account.money,
            stopped=None if halt.spent is None else str(halt.spent),
        )
        write_outcomes(folder, outcomes, report, settings.disagreements)
        if out_cases is not None:
            kept, _, _ = sorted_out(outcomes, settings.disagreements)
            write_text(out_cases, "".join(f"{case.model_dump_json()}\n" for case in reasoned(cases, kept)))
    if halt.away is not None and halt.spent is None and report.left:
        raise DependencyError(f"{halt.away}; {report.left} of {report.given} cases are left, what was done is kept")
    return report


def is_reasoned(case: DecidedCase) -> bool:
    """Whether a case's reasoning goes through the states already."""
    return isinstance(parse_states(case.reasoning, case.category), Reasoning)


def _desk(
    teacher: Endpoint,
    reader: Endpoint,
    settings: TeachingSettings,
    journal: Journal,
    account: Account[Stage],
    halt: Halt,
) -> Desk:
    """One pace for each address: an endpoint that does both is asked no oftener."""
    paces = {at.base: Pace(settings.per_minute, sleep=halt.sleep) for at in (teacher, reader)}
    seats = {
        stage: Seat(at, ChatClient(at, sleep=halt.sleep), paces[at.base])
        for stage, at in ((TAG2COT, teacher), (COT2TAG, reader))
    }
    return Desk(seats, journal, account, halt, temperature=settings.temperature)
