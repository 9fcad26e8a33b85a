"""A taxonomy's folder in, the leaves that people accepted below the violative categories out, found by id or name.

TAXONOMY/nodes.jsonl, version.json   the types, as `policy.growth.taxonomy.folder` keeps them
TAXONOMY/proposals/, decisions.jsonl what waits for a person, and what was decided of it (`policy.growth.leaves.desk`)
"""

from dataclasses import dataclass
from pathlib import Path

from contracts.errors import BadInputError, printable
from contracts.growth import Origin, TypeNode, spelling_of
from contracts.taxonomy import Category
from policy.growth.taxonomy.folder import VERSION, read_taxonomy
from policy.growth.taxonomy.hierarchy import Taxonomy
from policy.growth.taxonomy.top_labels import category_of, top_labels


@dataclass(frozen=True, slots=True)
class AcceptedLeaves:
    """The accepted leaves of a taxonomy; `place` is where they are kept, for errors."""

    taxonomy: Taxonomy
    place: Path

    def all(self) -> tuple[TypeNode, ...]:
        """Every accepted leaf, sorted by path."""
        return tuple(node for node in self.taxonomy.nodes if node.origin is Origin.ACCEPTED)

    def below(self, category: Category) -> tuple[TypeNode, ...]:
        return tuple(node for node in self.all() if category_of(node) is category)

    def find(self, named: str, category: Category) -> TypeNode:
        """The accepted leaf below a category by its id, its label (`group~category~name`) or its name alone.

        Raises `BadInputError` naming value, rule and place: for a leaf that nobody accepted, for one below another
        category, and for `positive`, below which there are none.
        """
        shown = printable(named, at_most=80)
        if category is Category.POSITIVE:
            rule = f"{category.value} has no leaves, they lie below the 15 violative categories"
            raise BadInputError(f"leaf == {shown!r}: {rule} ({self.place})")
        found = [node for node in self.all() if _is_named(node, named)]
        here = [node for node in found if category_of(node) is category]
        if len(here) == 1:
            return here[0]
        if here:
            raise BadInputError(f"leaf == {shown!r} is {len(here)} leaves, must be an id: {_ids(here)} ({self.place})")
        if found:
            where = category_of(found[0])
            lies = "nowhere" if where is None else where.value
            raise BadInputError(f"leaf == {shown!r} lies below {lies}, must lie below {category.value} ({self.place})")
        known = ", ".join(node.name for node in self.below(category)) or "there are none yet"
        rule = f"must be an accepted leaf below {category.value}: {known}"
        raise BadInputError(f"leaf == {shown!r}, {rule} ({self.place})")

    def label_of(self, leaf: str) -> str:
        """How a leaf is told: its label, or its id where the taxonomy does not have it."""
        return self.taxonomy.by_id(leaf).label if leaf in self.taxonomy else leaf


def read_accepted(root: Path) -> AcceptedLeaves:
    """Read the accepted leaves of a taxonomy's folder, none where there is no taxonomy; raises `BadInputError`."""
    return AcceptedLeaves(read_taxonomy(root) if (root / VERSION).exists() else top_labels(), root)


def _is_named(node: TypeNode, named: str) -> bool:
    spelled = spelling_of(named)
    return node.node_id == named or (bool(spelled) and spelled in {spelling_of(node.label), spelling_of(node.name)})


def _ids(nodes: list[TypeNode]) -> str:
    return ", ".join(node.node_id for node in nodes)
