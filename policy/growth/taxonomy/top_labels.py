"""The 16 top labels as a taxonomy's first two levels, `group~category`: what grows below them, and what never changes.

A type below them is of their category whatever it is called, so their ids, names and places are fixed, and nothing else
may stand on these two levels.
"""

from contracts.errors import BadInputError
from contracts.growth import Origin, TypeNode, node_id_of
from contracts.taxonomy import CATEGORIES, Category
from policy.growth.taxonomy.hierarchy import Taxonomy, taxonomy_of, told

_PATHS: dict[tuple[str, ...], Category] = {(category.group.value, category.value): category for category in CATEGORIES}
_LABELS = {node_id_of(path): path for path in _PATHS}
_LEVELS = 2


def top_labels() -> Taxonomy:
    """The five groups and the 16 categories below them."""
    return taxonomy_of(_PATHS, Origin.SEED)


def category_of(node: TypeNode) -> Category | None:
    """The category that a type of moderation is below or is; None for a group and for types of other taxonomies."""
    return _PATHS.get(node.path[:_LEVELS])


def is_of_moderation(taxonomy: Taxonomy) -> bool:
    """Whether it has one of the top labels, by its id or by its place."""
    return any(node_id in taxonomy for node_id in _LABELS) or any(taxonomy.at(path) for path in _PATHS)


def closed_ids(taxonomy: Taxonomy) -> frozenset[str]:
    """Types of moderation below which nothing grows: the groups, and what breaks no rule."""
    if not is_of_moderation(taxonomy):
        return frozenset()
    closed = (node for node in taxonomy.nodes if category_of(node) in {None, Category.POSITIVE})
    return frozenset(node.node_id for node in closed)


def check_top_labels(taxonomy: Taxonomy) -> None:
    """Raise `BadInputError` where a top label is renamed, moved or missing, or another type stands on their levels."""
    for node_id, path in _LABELS.items():
        if node_id not in taxonomy:
            raise BadInputError(f"{told(path)} is missing, must be there as {node_id} (top label)")
        if (found := taxonomy.by_id(node_id).path) != path:
            raise BadInputError(f"path == {told(found)}, must stay {told(path)} (top label {node_id})")
    groups = {path[:1] for path in _PATHS}
    for node in taxonomy.nodes:
        if len(node.path) <= _LEVELS and node.path not in groups | _PATHS.keys():
            raise BadInputError(f"path == {told(node.path)}, must be below one of the 16 top labels")
        if node.path in groups and node.node_id != node_id_of(node.path):
            raise BadInputError(f"{told(node.path)} is {node.node_id}, must stay {node_id_of(node.path)} (top group)")
