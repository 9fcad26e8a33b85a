"""A ruling and what is in force in, why it cannot be entered out: the court's rules, pure.

One ruling is in force for a video. Who rules otherwise must name that ruling, so that nothing is overruled unseen, and
only what is in force can be overruled, so that no ruling ends up overruling itself.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from contracts.cases import CaseAppealed, CaseOpened, CaseReason, Ruling
from contracts.errors import BadInputError
from policy.docket.files import Fallen, Standing
from policy.docket.principals import Principal, Role

APPEALS_AT_MOST = 10
"""Of one video: who is not heard by then is not heard better by more of them."""
_OWN = {"event_id", "ruled_at"}
"""What differs between two rulings that say the same."""


class RulingRefusedError(BadInputError):
    """A ruling that breaks a rule of the court."""


class AppealRefusedError(BadInputError):
    """An appeal that cannot be entered."""


class UnknownCaseError(BadInputError):
    """A case or video that is not on the docket."""


def ruling_id(case_id: str, ruled_by: str, ruled_at: datetime) -> str:
    """The id of a ruling: the same for who rules on a case at a moment, however often it is sent."""
    told = f"{case_id}/{ruled_by}/{ruled_at.astimezone(UTC).isoformat()}"
    return f"ruling-{hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}"


def repeats(ruling: Ruling, earlier: Ruling | None) -> bool:
    """Whether two rulings say the same of the same case by the same judge, at whatever time and under whatever id."""
    return earlier is not None and ruling.model_dump(exclude=_OWN) == earlier.model_dump(exclude=_OWN)


def standing(earlier: Sequence[Ruling], sequences: Sequence[int] = ()) -> Standing:
    """What the rulings on one video, in the order in which they were entered, come to.

    One that overrules fells what stood, and all that had affirmed it; one that overrules nothing affirms what stands.
    """
    upheld, fell = list[Ruling](), list[Fallen]()
    for place, ruling in zip(sequences or range(len(earlier)), earlier, strict=True):
        if ruling.overrules is not None:
            fell += (Fallen(place, one, ruling) for one in upheld)
            upheld.clear()
        upheld.append(ruling)
    return Standing(upheld[-1] if upheld else None, tuple(upheld[:-1]), tuple(fell))


def appeal_refusal(appeal: CaseAppealed, authors: set[str], appeals: int) -> str | None:
    """Why an appeal cannot be entered, None where it can.

    `authors` are those of the uploads on the docket of its video, none where it has no case; `appeals` is how many
    there were.
    """
    if authors and appeal.author_id not in authors:
        return f"author_id == {appeal.author_id!r} is not the author of the video {appeal.video_id!r}"
    if appeals >= APPEALS_AT_MOST:
        return f"video {appeal.video_id} was appealed {appeals} times, must be fewer than {APPEALS_AT_MOST}"
    return None


def refusal(ruling: Ruling, opened: CaseOpened | None, earlier: Sequence[Ruling], principal: Principal) -> str | None:
    """Why `ruling` cannot be entered by `principal`, None where it can.

    `opened` is the case that it names, None where there is none. `earlier` are all rulings on the same video in the
    order in which they were entered; the last one is in force.
    """
    return next(_reasons(ruling, opened, earlier, principal), None)


def _reasons(
    ruling: Ruling, opened: CaseOpened | None, earlier: Sequence[Ruling], principal: Principal
) -> Iterator[str]:
    if opened is None:
        yield f"case_id == {ruling.case_id!r} is not on the docket, must be a case that was opened"
        return
    if opened.video_id != ruling.video_id:
        yield f"video_id == {ruling.video_id!r}, must be {opened.video_id!r}, which case {ruling.case_id} is about"
    if ruling.ruled_by != principal.name or ruling.by != principal.kind:
        rule = f"must be who rules: {principal.name!r} ({principal.kind})"
        yield f"ruled_by == {ruling.ruled_by!r} ({ruling.by}), {rule}"
    if ruling.ruled_at < opened.opened_at:
        yield f"ruled_at == {ruling.ruled_at.isoformat()}, must not be before the case was opened"
    if earlier:
        yield from _against(ruling, opened, earlier, principal)
    elif ruling.overrules is not None:
        yield f"overrules == {ruling.overrules!r}, but nothing was ruled on video {ruling.video_id}"


def _against(ruling: Ruling, opened: CaseOpened, earlier: Sequence[Ruling], principal: Principal) -> Iterator[str]:
    """Why a ruling cannot follow those that there are."""
    standing = earlier[-1]
    if ruling.ruled_at < standing.ruled_at:
        yield f"ruled_at == {ruling.ruled_at.isoformat()}, must not be before {standing.event_id} on the same video"
    ruled = f"{standing.category.value} by {standing.ruled_by} on {standing.ruled_at:%Y-%m-%d %H:%M}"
    if ruling.overrules is None:
        if ruling.category is not standing.category or opened.reason is not CaseReason.APPEAL:
            rule = "overrules must name that ruling to replace it"
            yield f"video {ruling.video_id} is ruled {ruled} ({standing.event_id}); {rule}"
        return  # an appeal that is dismissed affirms what stands
    if ruling.overrules == ruling.event_id:
        yield f"overrules == {ruling.overrules!r} is the ruling itself, must be an earlier one"
    if ruling.overrules not in {one.event_id for one in earlier}:
        rule = f"must be {standing.event_id!r}"
        yield f"overrules == {ruling.overrules!r} is no ruling on video {ruling.video_id}, {rule}"
    if ruling.overrules != standing.event_id:
        yield f"overrules == {ruling.overrules!r} was overruled already, in force is {standing.event_id!r}: {ruled}"
    if ruling.category is standing.category:
        yield f"category == {ruling.category.value!r} is what {standing.event_id} ruled, must differ to overrule it"
    yield from _unfit(standing, opened, principal)


def _unfit(standing: Ruling, opened: CaseOpened, principal: Principal) -> Iterator[str]:
    """Why `principal` is not the one to overrule what stands."""
    if standing.by != "person":
        return
    whose = f"{standing.event_id} ({standing.ruled_by})"
    if principal.role is Role.ADJUDICATOR:
        yield f"{principal.name} is an adjudicator, a person's ruling {whose} falls by a person alone"
    if opened.reason is CaseReason.APPEAL and standing.ruled_by == principal.name:
        yield f"{principal.name} ruled {standing.event_id}, an appeal against it must be heard by somebody else"
    if standing.ruled_by != principal.name and principal.role is not Role.SENIOR:
        yield f"{principal.name} is {principal.role.value}, another person's ruling {whose} falls by a senior alone"
