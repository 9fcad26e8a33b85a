"""A proposal and a person's word in, an accepted leaf with its cases out, or a rejection.

    begun on the proposal -> type in the taxonomy -> leaf of its cases on the docket -> decision

Who is killed in between says it again, and it goes on as it was begun.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from pydantic import TypeAdapter, ValidationError

from contracts.errors import BadInputError, first_reason, printable
from contracts.growth import Name, Origin, TypeNode, spelling_of
from policy.docket.files import CaseFile
from policy.docket.principals import Action, Principal
from policy.growth.leaves.accepted import read_accepted
from policy.growth.leaves.desk import Decision, Desk, Proposal
from policy.growth.taxonomy.folder import version_of, write_taxonomy
from policy.growth.taxonomy.hierarchy import Taxonomy

_NAME = TypeAdapter[str](Name)


class Court(Protocol):
    """The part of the docket that an acceptance writes to."""

    def file(self, case_id: str) -> CaseFile: ...

    def label(self, leaves: Mapping[str, str], principal: Principal, *, now: datetime) -> list[str]: ...

    def known(self, case_ids: Sequence[str]) -> set[str]: ...


class Accepted(NamedTuple):
    """The leaf, the cases that are of it now, and those of the proposal that are not, each with why."""

    node: TypeNode
    cases: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def accept(
    desk: Desk, docket: Court, proposal_id: str, principal: Principal, *, name: str | None = None, now: datetime
) -> Accepted:
    """Make a proposal a leaf below its category, under a name, or let its cases join the accepted leaf of that name.

    Raises `NotAllowedError` for who is no senior, and `BadInputError` where nothing waits under the id, it was decided
    already, or the name is none.
    """
    principal.require(Action.APPROVE)
    with desk.turn():
        proposal = desk.find(proposal_id)
        leaves = read_accepted(desk.root)
        node = proposal.begun or _node(leaves.taxonomy, proposal, name or proposal.name)
        if proposal.begun and name is not None and spelling_of(name) != spelling_of(node.name):
            rule = f"its acceptance was begun as {node.name!r} and can only go on"
            raise BadInputError(f"name == {printable(name, at_most=80)!r} of {proposal_id}: {rule} ({desk.root})")
        desk.put(proposal.model_copy(update={"begun": node}))
        others = tuple(one for one in leaves.taxonomy.nodes if one.node_id != node.node_id)
        write_taxonomy(Taxonomy((*others, node)), desk.root, parent=version_of(leaves.taxonomy))
        cases, left_out = _members(docket, proposal, node)
        docket.label(dict.fromkeys(cases, node.node_id), principal, now=now)
        desk.decide(_decision(proposal, "accepted", principal, now, "", node))
    return Accepted(node, tuple(cases), tuple(left_out))


def reject(desk: Desk, proposal_id: str, principal: Principal, *, reason: str, now: datetime) -> Decision:
    """Let a proposal wait no more; its cluster is not proposed again until it has grown by half.

    Raises `BadInputError` without a reason, and as `accept`.
    """
    principal.require(Action.APPROVE)
    if not reason.strip():
        raise BadInputError(f"reason is empty, must say why {printable(proposal_id, at_most=80)} is no leaf")
    with desk.turn():
        proposal = desk.find(proposal_id)
        if proposal.begun:
            raise BadInputError(f"{proposal_id}: its acceptance as {proposal.begun.name!r} was begun, accept it first")
        decision = _decision(proposal, "rejected", principal, now, reason.strip(), None)
        desk.decide(decision)
    return decision


def _node(taxonomy: Taxonomy, proposal: Proposal, name: str) -> TypeNode:
    """The type that a proposal becomes: a new one, or the one of that name with more evidence, now accepted."""
    trimmed = " ".join(name.split())
    try:
        _NAME.validate_python(trimmed)
        if not spelling_of(trimmed):
            raise ValueError(f"name == {trimmed!r}, must have a letter or a digit")
    except ValueError as error:
        reason = first_reason(error) if isinstance(error, ValidationError) else str(error)
        raise BadInputError(f"{reason} (name of {proposal.proposal_id})") from error
    path = (proposal.category.group.value, proposal.category.value, trimmed)
    there = taxonomy.at(path)
    if there is not None:
        evidence = tuple(dict.fromkeys((*there.evidence, *proposal.members)))
        return there.model_copy(update={"origin": Origin.ACCEPTED, "evidence": evidence})
    return TypeNode(
        node_id=taxonomy.new_id(path),
        path=path,
        origin=Origin.ACCEPTED,
        proposed_by=proposal.named_by,
        evidence=proposal.members,
    )


def _members(docket: Court, proposal: Proposal, node: TypeNode) -> tuple[list[str], list[tuple[str, str]]]:
    """The cases of a proposal that become of its leaf, and the others: what was ruled since counts."""
    known = docket.known(proposal.members)
    cases, left_out = list[str](), list[tuple[str, str]]()
    for case_id in proposal.members:
        file = docket.file(case_id) if case_id in known else None
        ruled = file.ruling.category if file and file.ruling else None
        if file is None or file.leaf not in {"", node.node_id}:
            left_out.append((case_id, "is not on the docket" if file is None else f"is of leaf {file.leaf} already"))
        elif ruled is not proposal.category:
            left_out.append((case_id, f"is ruled {'nothing' if ruled is None else ruled.value} now"))
        else:
            cases.append(case_id)
    return cases, left_out


def _decision(
    proposal: Proposal,
    outcome: Literal["accepted", "rejected"],
    principal: Principal,
    now: datetime,
    reason: str,
    node: TypeNode | None,
) -> Decision:
    return Decision(
        proposal_id=proposal.proposal_id,
        outcome=outcome,
        category=proposal.category,
        members=proposal.members,
        decided_by=principal.name,
        decided_at=now,
        reason=reason[:2_000],
        node=node,
    )
