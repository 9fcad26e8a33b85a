"""Files of cases in, lines for a terminal or plain records for JSON out; others' words are escaped."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from contracts.cases import Ruling
from contracts.errors import printable
from policy.docket.files import CaseFile

Told = dict[str, Any]
"""A record as JSON has it."""


def told(file: CaseFile) -> Told:
    """The whole file of a case."""
    return {
        **summary(file),
        "opened": file.opened.model_dump(mode="json"),
        "upload": file.upload.model_dump(mode="json"),
        "ruling": file.ruling.model_dump(mode="json") if file.ruling else None,
        "affirmed": [ruling.model_dump(mode="json") for ruling in file.affirmed],
        "overruled": [ruling.model_dump(mode="json") for ruling in file.overruled],
        "appeals": [appeal.model_dump(mode="json") for appeal in file.appeals],
    }


def summary(file: CaseFile) -> Told:
    """A case as a list of cases shows it."""
    opened, evidence = file.opened, file.opened.evidence
    return {
        "case_id": opened.case_id,
        "video_id": opened.video_id,
        "waiting": file.waiting,
        "reason": opened.reason.value,
        "audited": opened.audited,
        "expected_harm": file.expected_harm,
        "opened_at": opened.opened_at.isoformat(),
        "toxicity": opened.toxicity,
        "category": evidence.category.value if evidence else None,
        "decision": evidence.decision.value if evidence else None,
        "ruled": file.ruling.category.value if file.ruling else None,
        "leaf": file.leaf or None,
        "title": file.upload.title,
    }


def table(files: Sequence[CaseFile], name_of: Callable[[str], str] = str) -> Iterator[str]:
    """A line for each case under a line of names: harm, reason, toxicity, what the policy found, what was ruled.

    Leaves stand beside what was ruled where any case has one, as `name_of` tells them by their ids.
    """
    width = max((len(file.opened.case_id) for file in files), default=4)
    names = {file.leaf: printable(name_of(file.leaf), at_most=40) if file.leaf else "-" for file in files}
    most = max(map(len, names.values())) if any(names) else 0

    def leaf(text: str) -> str:
        return f"{text:<{most}} " if most else ""

    head = f"{'harm':>9}  {'reason':<12} {'toxicity':>8}  {'found':<20} {'ruled':<20} "
    yield f"{head}{leaf('leaf')}{'case':<{width}}  title"
    for file in files:
        one = summary(file)
        yield (
            f"{file.expected_harm:>9.1f}  {one['reason']:<12} {one['toxicity']:>8.3f}  {one['category'] or '-':<20} "
            f"{one['ruled'] or '-':<20} {leaf(names[file.leaf])}{one['case_id']:<{width}}  "
            f"{printable(one['title'] or '', at_most=40)}"
        )


def lines(file: CaseFile, name_of: Callable[[str], str] = str) -> Iterator[str]:
    """The whole file, a fact a line; its leaf as `name_of` tells it by its id."""
    opened, upload, evidence = file.opened, file.upload, file.opened.evidence
    yield f"case      {opened.case_id}  {'waits' if file.waiting else 'does not wait'}"
    yield f"video     {opened.video_id} by {upload.author_id}, version of {upload.occurred_at:%Y-%m-%d %H:%M:%S}"
    yield (
        f"opened    {opened.opened_at:%Y-%m-%d %H:%M:%S} for {opened.reason.value}, "
        f"expected harm {file.expected_harm:.1f}{f', of the {opened.audited:.1%} audited' if opened.audited else ''}"
    )
    yield f"judged    toxicity {opened.toxicity:.3f} by release {opened.release_version}, casebook " + str(
        opened.casebook_version
    )
    if evidence:
        yield f"found     {evidence.category.value}, decided {evidence.decision.value}"
        over = "" if evidence.over_line is None else f", over the line with probability {evidence.over_line:.3f}"
        yield (
            f"reports   {evidence.reporters} reporters ({evidence.coordinated} coordinated) weigh "
            f"{evidence.weighted_reports:.2f} in {evidence.impressions} impressions{over}"
        )
        yield f"frames    {evidence.frames_digest or 'none'}"
    for name, text in (("title", upload.title), ("ocr", upload.ocr), ("asr", upload.asr), ("media", upload.media_url)):
        if text:
            yield f"{name:<9} {printable(text, at_most=300)}"
    yield from _rulings("in force", (file.ruling,) if file.ruling else ())
    if file.leaf:
        yield f"leaf      {file.leaf} {printable(name_of(file.leaf), at_most=200)}"
    yield from _rulings("affirmed", file.affirmed)
    yield from _rulings("fell", file.overruled)
    for appeal in file.appeals:
        yield (
            f"appeal    {appeal.event_id} by {appeal.author_id} on {appeal.appealed_at:%Y-%m-%d %H:%M:%S}: "
            f"{printable(appeal.statement, at_most=300)}"
        )


def _rulings(name: str, rulings: Iterable[Ruling]) -> Iterator[str]:
    for ruling in rulings:
        replaced = f", overrules {ruling.overrules}" if ruling.overrules else ""
        said = f": {printable(ruling.reasoning, at_most=300)}" if ruling.reasoning else ""
        yield (
            f"{name:<9} {ruling.event_id} {ruling.category.value} by {ruling.ruled_by} ({ruling.by}) on "
            f"{ruling.ruled_at:%Y-%m-%d %H:%M:%S}{replaced}{said}"
        )
