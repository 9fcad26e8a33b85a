"""A taxonomy in, a folder that holds it out, and back: what was interrupted while it was written is never read.

TAXONOMY/nodes.jsonl    a `TypeNode` a line, sorted by path
TAXONOMY/version.json   written last: the version is the digest of the nodes, so that it tells whether they are its own
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.growth import Origin, TypeNode
from contracts.records import Count, Record
from policy.growth.taxonomy.hierarchy import Taxonomy
from policy.growth.taxonomy.top_labels import check_top_labels, is_of_moderation
from policy.kept import read_whole, write_text, write_whole

NODES, VERSION = "nodes.jsonl", "version.json"

VersionName = Annotated[str, Field(pattern=r"^g-[0-9a-f]{12}$")]


class TaxonomyVersion(Record):
    """What a folder holds: its version, the one it was grown or merged from, and its types by level and by origin."""

    version: VersionName
    parent: VersionName | None = None
    nodes: Count
    leaves: Count
    by_level: Mapping[int, Count]
    by_origin: Mapping[Origin, Count]


def version_of(taxonomy: Taxonomy) -> str:
    """The version of these types: equal types are one version, wherever they were grown."""
    return _version_of_lines(_lines(taxonomy))


def write_taxonomy(taxonomy: Taxonomy, folder: Path, *, parent: str | None = None) -> TaxonomyVersion:
    """Write a taxonomy in the place of what was there; raises `BadInputError` where a top label of its would change."""
    if is_of_moderation(taxonomy):
        check_top_labels(taxonomy)
    lines = _lines(taxonomy)
    levels = Counter(len(node.path) for node in taxonomy.nodes)
    origins = Counter(node.origin for node in taxonomy.nodes)
    version = TaxonomyVersion(
        version=_version_of_lines(lines),
        parent=parent,
        nodes=len(taxonomy),
        leaves=len(taxonomy.leaves),
        by_level=dict(sorted(levels.items())),
        by_origin=dict(sorted(origins.items())),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / NODES, lines)
    write_whole(folder / VERSION, version)
    return version


def read_version(folder: Path) -> TaxonomyVersion:
    """What a folder says that it holds; raises `BadInputError` where it is no taxonomy."""
    return read_whole(folder / VERSION, TaxonomyVersion)


def read_taxonomy(folder: Path) -> Taxonomy:
    """Read a taxonomy; raises `BadInputError` where it is missing, damaged or half-written, naming file and line."""
    version = read_version(folder)
    path = folder / NODES
    try:
        lines = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error
    if (found := _version_of_lines(lines)) != version.version:
        raise BadInputError(f"{path}: its version is {found}, must be {version.version}: its writing was interrupted")
    nodes = []
    for number, line in enumerate(lines.removesuffix("\n").split("\n") if lines else (), 1):
        try:
            nodes.append(TypeNode.model_validate_json(line))
        except ValidationError as error:
            raise BadInputError(f"{path}:{number}: {first_reason(error)}") from error
    try:
        taxonomy = Taxonomy(tuple(nodes))
        if is_of_moderation(taxonomy):
            check_top_labels(taxonomy)
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from None
    return taxonomy


def _lines(taxonomy: Taxonomy) -> str:
    return "".join(f"{node.model_dump_json()}\n" for node in taxonomy.nodes)


def _version_of_lines(lines: str) -> str:
    return f"g-{hashlib.sha256(lines.encode()).hexdigest()[:12]}"
