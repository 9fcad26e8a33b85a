"""Types in, a taxonomy out: each below its parent, found by its id or by the spelling of its path."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from contracts.errors import BadInputError, printable
from contracts.growth import SEPARATOR, Origin, TypeNode, node_id_of, spelling_of

Spelled = tuple[str, ...]
"""A path as paths compare."""
_spelling_of = lru_cache(maxsize=1 << 17)(spelling_of)
"""A taxonomy that grows is made anew with mostly the same names."""


@dataclass(frozen=True)
class Taxonomy:
    """N types, sorted by path, so that a type comes after its parent and before its parent's next child.

    Raises `BadInputError` where two types have one id or one spelling of their paths, a name without a letter or digit,
    or no parent.
    """

    nodes: tuple[TypeNode, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(sorted(self.nodes, key=lambda node: node.path)))
        if len(self._by_id) < len(self.nodes):
            twice, _ = Counter(node.node_id for node in self.nodes).most_common(1)[0]
            raise BadInputError(f"node_id == {twice!r}, must be of one type")
        labels = {node.path for node in self.nodes}
        for node in self.nodes:
            if not all(self.spelled(node)):
                raise BadInputError(f"path == {told(node.path)}, each level must have a letter or a digit")
            if len(node.path) > 1 and node.path[:-1] not in labels:
                raise BadInputError(f"path == {told(node.path)}, must have its parent {told(node.path[:-1])}")
            if (first := self._by_spelling[self.spelled(node)]) is not node:
                raise BadInputError(f"path == {told(node.path)}, must be spelled unlike {told(first.path)}")

    @cached_property
    def _by_id(self) -> dict[str, TypeNode]:
        return {node.node_id: node for node in self.nodes}

    @cached_property
    def _spelled(self) -> dict[str, Spelled]:
        """By id; a path is spelled from its parent's, each name once."""
        paths = dict[tuple[str, ...], Spelled]()
        for node in self.nodes:
            above = node.path[:-1]
            paths[node.path] = (*(paths.get(above) or spelled_path(above)), _spelling_of(node.name))
        return {node.node_id: paths[node.path] for node in self.nodes}

    @cached_property
    def _by_spelling(self) -> dict[Spelled, TypeNode]:
        found = dict[Spelled, TypeNode]()
        for node in self.nodes:
            found.setdefault(self._spelled[node.node_id], node)
        return found

    @cached_property
    def _children(self) -> dict[tuple[str, ...], tuple[TypeNode, ...]]:
        found = dict[tuple[str, ...], list[TypeNode]]()
        for node in self.nodes:
            found.setdefault(node.path[:-1], []).append(node)
        return {path: tuple(below) for path, below in found.items()}

    @cached_property
    def leaves(self) -> tuple[TypeNode, ...]:
        """Types without children, sorted by path."""
        return tuple(node for node in self.nodes if node.path not in self._children)

    @property
    def roots(self) -> tuple[TypeNode, ...]:
        return self._children.get((), ())

    def __len__(self) -> int:
        return len(self.nodes)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._by_id

    def by_id(self, node_id: str) -> TypeNode:
        """The type of an id; raises `BadInputError` where there is none."""
        try:
            return self._by_id[node_id]
        except KeyError:
            shown = printable(node_id, at_most=140)
            raise BadInputError(f"node_id == {shown!r}, must be of a type of the taxonomy") from None

    def at(self, path: Sequence[str]) -> TypeNode | None:
        """The type whose path is spelled as this one, or None."""
        return self._by_spelling.get(spelled_path(path))

    def spelled(self, node: TypeNode) -> Spelled:
        """The spelling of the path of a type of this taxonomy."""
        return self._spelled[node.node_id]

    def children_of(self, node: TypeNode) -> tuple[TypeNode, ...]:
        return self._children.get(node.path, ())

    def siblings_of(self, node: TypeNode) -> tuple[TypeNode, ...]:
        """The other children of its parent, or the other roots."""
        return tuple(other for other in self._children[node.path[:-1]] if other is not node)

    def parent_of(self, node: TypeNode) -> TypeNode | None:
        return self._by_spelling.get(self._spelled[node.node_id][:-1])

    def at_level(self, level: int) -> tuple[TypeNode, ...]:
        """Types whose path has `level` names: 1 for the roots."""
        return tuple(node for node in self.nodes if len(node.path) == level)

    def new_id(self, path: Sequence[str]) -> str:
        """The id of a type to be made here: of its path, unless a type that was made here has moved away."""
        first = node_id = node_id_of(path)
        again = 1
        while node_id in self._by_id:
            again += 1
            node_id = f"{first}-{again}"
        return node_id

    def adding(self, nodes: Iterable[TypeNode]) -> "Taxonomy":
        """Its types and more; raises `BadInputError` as a new one does."""
        return Taxonomy((*self.nodes, *nodes))


def spelled_path(path: Sequence[str]) -> Spelled:
    return tuple(spelling_of(name) for name in path)


def taxonomy_of(paths: Iterable[Sequence[str]], origin: Origin = Origin.SEED) -> Taxonomy:
    """A taxonomy of these paths and of all that lies between them and their roots."""
    whole = dict.fromkeys(tuple(path[:n]) for path in paths for n in range(1, len(path) + 1))
    return Taxonomy(tuple(TypeNode(node_id=node_id_of(path), path=path, origin=origin) for path in whole))


def told(path: Sequence[str]) -> str:
    """A path for an error."""
    return repr(printable(SEPARATOR.join(path), at_most=160))
