"""Verdicts, report rates and appeals in, cases to be ruled on out, each with the evidence that it stood on.

A video and release open at most one case, for the first of these reasons that holds: an appeal, its report rate, an
uncertain score, precedents that disagree with the classifier, the audit. An appeal comes beside an earlier case. The
audit draws from every verdict, removals included and whatever else asks about it, by a hash of the video alone:
weighing each case that it drew with 1 / `audited` estimates without bias what is so of all verdicts as they stood when
a case on them could open (Horvitz and Thompson, JASA 1952). A video that no case asks about counts again when its
decision changes.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from contracts.cases import CaseAppealed, CaseEvidence, CaseOpened, CaseReason
from contracts.errors import BadInputError
from contracts.taxonomy import POSITIVE_INDEX
from contracts.verdicts import Decision, Verdict
from policy.cases.report_rate import DEFAULT_LINE, ReportLine, ReportRate

AUDITED: Mapping[Decision, float] = MappingProxyType(
    {Decision.ALLOW: 0.002, Decision.DEMOTE: 0.02, Decision.REVIEW: 0.02, Decision.REMOVE: 0.02}
)
"""Share of verdicts that is audited, by decision: the rarer ones more, since fewer of them are seen."""
_UNKNOWN_AUTHOR = "is not the author of the video"
_UNKNOWN_VIDEO = "names a video without a verdict"


@dataclass(frozen=True, slots=True)
class OpeningSettings:
    """When a verdict is asked about.

    line: of the report rate. uncertain_within: distance of toxicity from the release's line.
    pulled_by: what the precedents changed of the classifier's toxicity, from which on the two disagree.
    audited: share of verdicts in the audit, by decision. salt: keeps uploaders from knowing which those are.
    """

    line: ReportLine = DEFAULT_LINE
    uncertain_within: float = 0.1
    pulled_by: float = 0.25
    audited: Mapping[Decision, float] = field(default_factory=lambda: AUDITED)
    salt: str = "audit"

    def __post_init__(self) -> None:
        if not (0.0 <= self.uncertain_within <= 1.0 and 0.0 < self.pulled_by <= 1.0):
            rule = "must be in [0, 1] and (0, 1]"
            raise BadInputError(f"uncertain_within == {self.uncertain_within}, pulled_by == {self.pulled_by}, {rule}")
        wrong = {d.value: share for d, share in self.audited.items() if not 0.0 <= share <= 1.0}
        if wrong or set(self.audited) != set(Decision):
            raise BadInputError(f"audited == {dict(self.audited)}, must give each decision a share in [0, 1]")


DEFAULT_OPENING = OpeningSettings()


def open_cases(
    verdicts: Iterable[Verdict],
    rates: Mapping[str, ReportRate],
    appeals: Sequence[CaseAppealed] = (),
    *,
    lines: Mapping[int, float],
    now: datetime,
    already: Collection[str] = (),
    settings: OpeningSettings = DEFAULT_OPENING,
) -> list[CaseOpened]:
    """The cases that these verdicts open now, by video and release; safe to repeat with those ids in `already`.

    `rates` are by video, `lines` the toxicity lines by release. Of several verdicts on a video by one release the
    latest counts. An appeal opens a case of its own, beside one that is there already; one that is refused
    (`refusal_of`) opens none. Raises `BadInputError` for a release without a line.
    """
    latest: dict[tuple[str, int], Verdict] = {}
    for verdict in verdicts:
        key = (verdict.video_id, verdict.release_version)
        if key not in latest or _order(verdict) > _order(latest[key]):
            latest[key] = verdict
    appeals_of: dict[str, list[CaseAppealed]] = {}
    for appeal in appeals:
        appeals_of.setdefault(appeal.video_id, []).append(appeal)
    opened = []
    for (video_id, release), verdict in sorted(latest.items()):
        if release not in lines:
            raise BadInputError(f"release_version == {release} of video {video_id} has no line, must be in lines")
        audited = _audited(verdict, settings)
        appealed = any(refusal_of(appeal, verdict) is None for appeal in appeals_of.get(video_id, ()))
        rate = rates.get(video_id)
        usual, disputed = case_id(video_id, release), case_id(video_id, release, appealed=True)
        if disputed in already:
            continue
        if appealed:
            opened.append(_case(disputed, CaseReason.APPEAL, audited, verdict, rate, now))
        elif usual not in already and (why := _reason(verdict, rate, audited, lines[release], settings)):
            opened.append(_case(usual, why, audited, verdict, rate, now))
    return opened


def refusal_of(appeal: CaseAppealed, verdict: Verdict | None) -> str | None:
    """Why an appeal cannot be heard, None where it can: `verdict` is the latest on its video, if there is one."""
    if verdict is None or verdict.video_id != appeal.video_id:
        return f"video_id == {appeal.video_id!r} {_UNKNOWN_VIDEO}"
    if verdict.author_id != appeal.author_id:
        return f"author_id == {appeal.author_id!r} {_UNKNOWN_AUTHOR} {appeal.video_id!r}"
    return None


def case_id(video_id: str, release_version: int, *, appealed: bool = False) -> str:
    """The id of the case about a video and what a release said of it: always the same, and an appeal's its own."""
    kind = "appeal" if appealed else "case"
    return f"{kind}-{hashlib.blake2b(f'{video_id}/{release_version}'.encode(), digest_size=16).hexdigest()}"


def _order(verdict: Verdict) -> tuple[datetime, datetime]:
    return verdict.occurred_at, verdict.scored_at


def _reason(
    verdict: Verdict, rate: ReportRate | None, audited: float, line: float, settings: OpeningSettings
) -> CaseReason | None:
    """Why a verdict is asked about, if it is."""
    if rate is not None and rate.over_line >= settings.line.certainty:
        return CaseReason.REPORT_RATE
    if abs(verdict.toxicity - line) <= settings.uncertain_within:
        return CaseReason.UNCERTAIN
    if abs(verdict.toxicity - (1.0 - verdict.classifier[POSITIVE_INDEX])) >= settings.pulled_by:
        return CaseReason.DISAGREEMENT
    return CaseReason.AUDIT if audited else None


def _audited(verdict: Verdict, settings: OpeningSettings) -> float:
    """The share of such verdicts that are audited where this one is, else 0."""
    share = settings.audited[verdict.decision]
    return share if _drawn(settings.salt, verdict.video_id) < share else 0.0


def _drawn(salt: str, video_id: str) -> float:
    """A number in [0, 1) that a hash gives the video, uniform over videos, the same under every release."""
    digest = hashlib.blake2b(f"{salt}/{video_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def _case(
    identity: str, reason: CaseReason, audited: float, verdict: Verdict, rate: ReportRate | None, now: datetime
) -> CaseOpened:
    evidence = CaseEvidence(
        probabilities=verdict.probabilities,
        classifier=verdict.classifier,
        category=verdict.category,
        decision=verdict.decision,
        impressions=rate.reports.impressions if rate else 0,
        reporters=rate.reports.reporters if rate else 0,
        coordinated=rate.reports.coordinated if rate else 0,
        weighted_reports=rate.reports.weight if rate else 0.0,
        report_rate=rate.mean if rate else None,
        over_line=rate.over_line if rate else None,
    )
    return CaseOpened(
        event_id=f"opened-{identity}",
        case_id=identity,
        video_id=verdict.video_id,
        opened_at=now,
        reason=reason,
        selection_probability=audited if reason is CaseReason.AUDIT else 1.0,
        audited=audited,
        toxicity=verdict.toxicity,
        release_version=verdict.release_version,
        casebook_version=verdict.casebook_version,
        evidence=evidence,
    )
