"""Recent rulings in, proposals for a person out: those that no leaf explains, clustered, named and kept.

docket -> student's embeddings -> unexplained -> clusters -> not decided before -> named -> TAXONOMY/proposals
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from contracts.videos import VideoUploaded
from policy.growth.calls.ask import LLM, Ask
from policy.growth.calls.asker import AskingSettings, asking
from policy.growth.leaves.clusters import Cluster, ClusterSettings, cluster
from policy.growth.leaves.desk import Desk, Proposal, is_again, proposal_id, was_decided
from policy.growth.leaves.explaining import unexplained
from policy.growth.leaves.naming import SYSTEM, Named, name_by, name_of_words
from policy.growth.leaves.seen import Seen, see, violative
from policy.publication.precedents import Rulings
from policy.reasoning.endpoint import Endpoint
from serving.releases import ReleasesRoot

EXAMPLES = 5


class Asked(NamedTuple):
    """Who names clusters: an LLM, and the model's name."""

    ask: Ask
    model: str


class Proposed(NamedTuple):
    """What a look at the docket came to.

    recent: rulings that were looked at. explained: those of them that are of a leaf, or that one explains.
    new: proposals that were made now. waiting: clusters that wait already. rejected: that were rejected before.
    unseen: rulings that the student cannot see.
    """

    recent: int
    explained: int
    new: tuple[Proposal, ...]
    waiting: int
    rejected: int
    unseen: int


def look(root: ReleasesRoot, docket: Rulings, settings: ClusterSettings, *, now: datetime) -> Seen:
    """The recent violative rulings and all that are of a leaf, as the live release's student sees them.

    Raises `BadInputError` where nothing is live, or what is live is damaged.
    """
    since = now - timedelta(days=settings.days)
    chosen = [one for one in violative(docket) if one.case.leaf or one.case.decided_at > since]
    return see(root, root.open(root.read_pointer().live.release_version), docket, chosen)


def clusters_of(seen: Seen, settings: ClusterSettings) -> list[Cluster]:
    """The clusters of what no leaf explains, the largest first."""
    authors = [one.case.upload.author_id for one in seen.precedents]
    return cluster(seen.rulings, authors, seen.alike, settings)


async def propose(
    desk: Desk,
    root: ReleasesRoot,
    docket: Rulings,
    settings: ClusterSettings | None = None,
    *,
    now: datetime,
    llm: Asked | None = None,
) -> Proposed:
    """Keep a proposal of each cluster that was not decided and does not wait yet; the same again is no change.

    One that waits and has grown by half is replaced by what it is now. Raises as `look`.
    """
    settings = settings or ClusterSettings()
    with desk.turn():
        seen = look(root, docket, settings, now=now)
        decisions, waiting = desk.decisions(), desk.waiting()
        new, still, rejected = list[Proposal](), 0, 0
        found = clusters_of(seen, settings)
        for one in found:
            members = [seen.rulings.case_ids[row] for row in one.rows]
            ours = [old for old in waiting if old.category is one.category]
            if was_decided(one.category, members, decisions):
                rejected += 1
            elif any(old.begun or is_again(members, old.members) for old in ours if set(old.members) & set(members)):
                still += 1
            else:
                proposal = await _proposal(one, seen, now, llm)
                desk.put(proposal)
                for old in ours:
                    if 2 * len(set(old.members) & set(members)) >= len(old.members):
                        desk.drop(old.proposal_id)
                new.append(proposal)
    clustered = sum(len(one.rows) for one in found)
    alone = unexplained_in(seen) - clustered
    recent = len(seen.rulings)
    return Proposed(recent, recent - clustered - alone, tuple(new), still, rejected, seen.unseen)


async def propose_by(
    llm: Endpoint | None,
    desk: Desk,
    root: ReleasesRoot,
    docket: Rulings,
    settings: ClusterSettings | None = None,
    *,
    now: datetime,
) -> Proposed:
    """`propose`, with clusters named by the LLM at an endpoint where there is one: each is paid for once."""
    if llm is None:
        return await propose(desk, root, docket, settings, now=now)
    work = hashlib.sha256(f"{llm.base}\n{llm.model}\n{SYSTEM}".encode()).hexdigest()
    desk.root.mkdir(parents=True, exist_ok=True)
    async with (
        asking({LLM: llm}, AskingSettings(temperature=0.0)) as asker,
        asker.kept(desk.root / f"names-{work[:12]}.jsonl", work) as kept,
    ):
        return await propose(desk, root, docket, settings, now=now, llm=Asked(kept.ask, llm.model))


def unexplained_in(seen: Seen) -> int:
    """How many of the rulings that were seen no leaf explains."""
    return sum(map(len, unexplained(seen.rulings, seen.alike).values()))


async def _proposal(one: Cluster, seen: Seen, now: datetime, llm: Asked | None) -> Proposal:
    ids = [seen.rulings.case_ids[row] for row in one.rows]
    uploads = [seen.precedents[row].case.upload for row in one.rows]
    identity = proposal_id(one.category, ids)
    named = await name_by(llm.ask, llm.model, identity, one.category, uploads) if llm else None
    named = named or _in_words(one, seen, uploads, identity)
    return Proposal(
        proposal_id=identity,
        category=one.category,
        members=tuple(sorted(ids)),
        examples=tuple(ids[:EXAMPLES]),
        authors=len({upload.author_id for upload in uploads}),
        cohesion=one.cohesion,
        nearest=one.nearest,
        similarity=one.similarity,
        name=named.name,
        named_by=named.by,
        proposed_at=now,
        release_version=seen.folder.release.version,
    )


def _in_words(one: Cluster, seen: Seen, uploads: Sequence[VideoUploaded], identity: str) -> Named:
    """The words that tell a cluster from its category's other rulings."""
    others = [
        precedent.case.upload
        for row, precedent in enumerate(seen.precedents)
        if precedent.case.category is one.category and row not in set(one.rows)
    ]
    return name_of_words(uploads, others, fallback=f"{one.category.value} {identity}")
