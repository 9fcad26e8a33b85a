"""Two taxonomies in, one with the types of both out: a type that both have keeps its first id, wherever it now stands.

A type of the second is one of the first by its id, else by the spelling of its path. What the second calls it and where
it places it counts, unless the two then do not fit into one tree: then the first's counts, and a conflict says so.
"""

from collections import defaultdict
from enum import StrEnum
from typing import NamedTuple

from contracts.errors import BadInputError
from contracts.growth import MOST_LEVELS, SEPARATOR, TypeNode, spelling_of
from policy.growth.taxonomy.hierarchy import Taxonomy
from policy.growth.taxonomy.top_labels import check_top_labels, is_of_moderation


class ConflictKind(StrEnum):
    """Why the second taxonomy was not followed."""

    OTHER_ID = "the same path with another id"
    TAKEN = "its new place is another type's"
    CYCLE = "it would stand below itself"
    TOO_DEEP = "types below it would be too deep"


class Conflict(NamedTuple):
    """A type whose id (OTHER_ID) or place was not taken over from the second taxonomy; `first` and `second` are paths.

    Of OTHER_ID, `second` is the id.
    """

    kind: ConflictKind
    node_id: str
    first: str
    second: str


class Moved(NamedTuple):
    """A type that has another name or place than in the first taxonomy, as paths; its id is the same."""

    node_id: str
    before: str
    after: str


class Merged(NamedTuple):
    """The types of both; `ids` leads from ids of the second taxonomy alone to those kept. All sorted by id."""

    taxonomy: Taxonomy
    conflicts: tuple[Conflict, ...]
    moved: tuple[Moved, ...]
    ids: dict[str, str]


class _Place(NamedTuple):
    parent: str | None
    name: str


def merge(base: Taxonomy, other: Taxonomy) -> Merged:
    """Merge the second into the first; nothing is removed, and what the first has grown below a moved type moves along.

    Raises `BadInputError` where either is of moderation and a top label would be renamed, moved or missing, or another
    type stand beside it; and where a type would be too deep that neither has moved.
    """
    moderation = is_of_moderation(base) or is_of_moderation(other)
    for taxonomy in (base, other) if moderation else ():
        check_top_labels(taxonomy)
    sent_back = dict[str, ConflictKind]()
    while True:  # ends: each turn sends at least one more type back to where the first has it
        ids = _ids_of(base, other, sent_back)
        places = _places_of(base, other, ids, sent_back)
        moved = {node.node_id for node in base.nodes if places[node.node_id] != _place_in(base, node)}
        wrong = _cycles(places, moved) or _collisions(places, moved) or _too_deep(places, moved)
        if not wrong:
            break
        sent_back |= wrong
    taxonomy = _built(base, other, ids, places)
    if moderation:
        check_top_labels(taxonomy)
    told = [Conflict(kind, at, base.by_id(at).label, other.by_id(at).label) for at, kind in sent_back.items()]
    renamed = {mine: kept for mine, kept in ids.items() if mine != kept}
    told += [Conflict(ConflictKind.OTHER_ID, at, taxonomy.by_id(at).label, mine) for mine, at in renamed.items()]
    elsewhere = [
        Moved(node.node_id, node.label, after.label)
        for node in base.nodes
        if (after := taxonomy.by_id(node.node_id)).path != node.path
    ]
    by_id = sorted(told, key=lambda one: (one.node_id, one.kind, one.second))
    return Merged(taxonomy, tuple(by_id), tuple(sorted(elsewhere)), dict(sorted(renamed.items())))


def _ids_of(base: Taxonomy, other: Taxonomy, sent_back: dict[str, ConflictKind]) -> dict[str, str]:
    """The kept id of each type of the second: of the type of the first that it is, else its own."""
    at = {
        (place.parent, spelling_of(place.name)): node.node_id
        for node in base.nodes
        if node.node_id not in other or node.node_id in sent_back
        for place in [_place_in(base, node)]
    }
    ids = dict[str, str]()
    for node in other.nodes:
        if node.node_id in base:
            ids[node.node_id] = node.node_id
        else:
            parent = other.parent_of(node)
            place = (ids[parent.node_id] if parent else None, other.spelled(node)[-1])
            ids[node.node_id] = at.setdefault(place, node.node_id)
    return ids


def _places_of(
    base: Taxonomy, other: Taxonomy, ids: dict[str, str], sent_back: dict[str, ConflictKind]
) -> dict[str, _Place]:
    places = {node.node_id: _place_in(base, node) for node in base.nodes}
    for node in other.nodes:
        kept = ids[node.node_id]
        if (node.node_id in base and kept not in sent_back) or kept not in places:
            mine = _place_in(other, node)
            places[kept] = _Place(None if mine.parent is None else ids[mine.parent], mine.name)
    return places


def _place_in(taxonomy: Taxonomy, node: TypeNode) -> _Place:
    parent = taxonomy.parent_of(node)
    return _Place(None if parent is None else parent.node_id, node.name)


def _cycles(places: dict[str, _Place], moved: set[str]) -> dict[str, ConflictKind]:
    """The moved types on each way up that comes back to itself."""
    rooted, wrong = set[str](), dict[str, ConflictKind]()
    for start in places:
        way = dict[str, None]()
        at: str | None = start
        while at is not None and at not in rooted and at not in way:
            way[at] = None
            at = places[at].parent
        if at is not None and at in way:
            around = list(way)[list(way).index(at) :]
            wrong |= dict.fromkeys(moved.intersection(around), ConflictKind.CYCLE)
        rooted.update(way)
    return wrong


def _collisions(places: dict[str, _Place], moved: set[str]) -> dict[str, ConflictKind]:
    """The moved types whose new place another has."""
    at = defaultdict[tuple[str | None, str], list[str]](list)
    for node_id, place in places.items():
        at[place.parent, spelling_of(place.name)].append(node_id)
    taken = (moved.intersection(group) for group in at.values() if len(group) > 1)
    return {node_id: ConflictKind.TAKEN for group in taken for node_id in group}


def _too_deep(places: dict[str, _Place], moved: set[str]) -> dict[str, ConflictKind]:
    """The moved types that lead to a path of too many levels."""
    wrong = dict[str, ConflictKind]()
    for node_id in places:
        way = _way_up(places, node_id)
        if len(way) > MOST_LEVELS:
            if not (blamed := moved.intersection(way)):
                label = SEPARATOR.join(places[at].name for at in reversed(way))
                raise BadInputError(f"path {label!r} has {len(way)} levels, must have at most {MOST_LEVELS} (merging)")
            wrong |= dict.fromkeys(blamed, ConflictKind.TOO_DEEP)
    return wrong


def _way_up(places: dict[str, _Place], node_id: str) -> list[str]:
    way, at = list[str](), places[node_id].parent
    way.append(node_id)
    while at is not None:
        way.append(at)
        at = places[at].parent
    return way


def _built(base: Taxonomy, other: Taxonomy, ids: dict[str, str], places: dict[str, _Place]) -> Taxonomy:
    """The types at their places, those of both with the evidence of both."""
    nodes = {node.node_id: node for node in base.nodes}
    for node in other.nodes:
        kept = ids[node.node_id]
        first = nodes.setdefault(kept, node)
        evidence = tuple(dict.fromkeys((*first.evidence, *node.evidence)))
        nodes[kept] = first.model_copy(update={"evidence": evidence})
    paths = {at: tuple(places[above].name for above in reversed(_way_up(places, at))) for at in places}
    return Taxonomy(tuple(node.model_copy(update={"path": paths[at]}) for at, node in nodes.items()))
