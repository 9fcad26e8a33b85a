"""A ruling and what is in force in, why it cannot be entered out: the court's rules, pure.

One ruling is in force for a video. Who rules otherwise must name that ruling, so that nothing is overruled unseen, and
only what is in force can be overruled, so that no ruling ends up overruling itself.
"""

from collections.abc import Sequence

from contracts.cases import CaseOpened, CaseReason, Ruling
from contracts.errors import BadInputError
from policy.docket.principals import Principal, Role


class RulingRefusedError(BadInputError):
    """A ruling that breaks a rule of the court."""


def refusal(ruling: Ruling, opened: CaseOpened | None, earlier: Sequence[Ruling], principal: Principal) -> str | None:
    """Why `ruling` cannot be entered by `principal`, None where it can.

    `opened` is the case that it names, None where there is none. `earlier` are all rulings on the same video in the
    order in which they were entered; the last one is in force.
    """
    if opened is None:
        return f"case_id == {ruling.case_id!r} is not on the docket, must be a case that was opened"
    if opened.video_id != ruling.video_id:
        return f"video_id == {ruling.video_id!r}, must be {opened.video_id!r}, which case {ruling.case_id} is about"
    if ruling.ruled_by != principal.name or ruling.by != principal.kind:
        return (
            f"ruled_by == {ruling.ruled_by!r} ({ruling.by}), must be who rules: {principal.name!r} ({principal.kind})"
        )
    if ruling.ruled_at < opened.opened_at:
        return f"ruled_at == {ruling.ruled_at.isoformat()}, must not be before the case was opened"
    if not earlier:
        if ruling.overrules is not None:
            return f"overrules == {ruling.overrules!r}, but nothing was ruled on video {ruling.video_id}"
        return None
    return _against(ruling, opened, earlier, principal)


def _against(ruling: Ruling, opened: CaseOpened, earlier: Sequence[Ruling], principal: Principal) -> str | None:
    """Why a ruling cannot follow those that there are."""
    standing = earlier[-1]
    ruled = f"{standing.category.value} by {standing.ruled_by} on {standing.ruled_at:%Y-%m-%d %H:%M}"
    known = {one.event_id for one in earlier}
    if ruling.overrules is None:
        if ruling.category is standing.category and opened.reason is CaseReason.APPEAL:
            return None  # an appeal that is dismissed affirms what stands
        return f"video {ruling.video_id} is ruled {ruled} ({standing.event_id}); overrules must name that ruling to replace it"
    if ruling.overrules == ruling.event_id:
        return f"overrules == {ruling.overrules!r} is the ruling itself, must be an earlier one"
    if ruling.overrules not in known:
        return (
            f"overrules == {ruling.overrules!r} is no ruling on video {ruling.video_id}, must be {standing.event_id!r}"
        )
    if ruling.overrules != standing.event_id:
        return f"overrules == {ruling.overrules!r} was overruled already, in force is {standing.event_id!r}: {ruled}"
    if ruling.category is standing.category:
        return f"category == {ruling.category.value!r} is what {standing.event_id} ruled, must differ to overrule it"
    return _may_overrule(standing, opened, principal)


def _may_overrule(standing: Ruling, opened: CaseOpened, principal: Principal) -> str | None:
    if standing.by == "person" and principal.role is Role.ADJUDICATOR:
        return f"{principal.name} is an adjudicator, a ruling by a person ({standing.ruled_by}) falls by a person alone"
    if opened.reason is CaseReason.APPEAL and standing.ruled_by == principal.name:
        return f"{principal.name} ruled {standing.event_id}, an appeal against it must be heard by somebody else"
    if standing.by == "person" and standing.ruled_by != principal.name and principal.role is not Role.SENIOR:
        rule = f"another person's ruling ({standing.ruled_by}) falls by a senior alone"
        return f"{principal.name} is {principal.role.value}, {rule}"
    return None
