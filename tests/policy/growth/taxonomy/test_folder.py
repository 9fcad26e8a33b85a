"""A taxonomy's folder: it reads back as it was, or it is not read at all."""

import json
from pathlib import Path

import pytest

from contracts.errors import BadInputError
from contracts.growth import Origin, TypeNode, node_id_of
from policy.growth.taxonomy.folder import NODES, VERSION, read_taxonomy, read_version, version_of, write_taxonomy
from policy.growth.taxonomy.hierarchy import taxonomy_of
from policy.growth.taxonomy.top_labels import top_labels

SMALL = taxonomy_of([("B",), ("A", "C")]).adding(
    [
        TypeNode(
            node_id=node_id_of(("A", "D")),
            path=("A", "D"),
            origin=Origin.ACCEPTED,
            round=2,
            proposed_by="m\u2028",
            evidence=("c-1",),
        )
    ]
)


def test_a_taxonomy_reads_back_and_its_version_says_what_it_holds(tmp_path: Path) -> None:
    written = write_taxonomy(SMALL, tmp_path / "t", parent="g-0123456789ab")
    assert read_taxonomy(tmp_path / "t") == SMALL
    assert read_version(tmp_path / "t") == written
    assert json.loads((tmp_path / "t" / VERSION).read_text()) == {
        "version": version_of(SMALL),
        "parent": "g-0123456789ab",
        "nodes": 4,
        "leaves": 3,
        "by_level": {"1": 2, "2": 2},
        "by_origin": {"accepted": 1, "seed": 3},
    }


def test_equal_types_are_one_version_and_equal_bytes_in_whatever_order_they_came(tmp_path: Path) -> None:
    shuffled = type(SMALL)(SMALL.nodes[::-1])
    assert version_of(shuffled) == version_of(SMALL)
    assert version_of(taxonomy_of([("B",)])) != version_of(SMALL)
    for name, taxonomy in (("one", SMALL), ("two", shuffled)):
        write_taxonomy(taxonomy, tmp_path / name)
    assert (tmp_path / "one" / NODES).read_bytes() == (tmp_path / "two" / NODES).read_bytes()


def test_nodes_that_are_not_those_of_the_version_are_not_read(tmp_path: Path) -> None:
    write_taxonomy(SMALL, tmp_path)
    older = (tmp_path / VERSION).read_text()
    write_taxonomy(taxonomy_of([("Z",)]), tmp_path)
    (tmp_path / VERSION).write_text(older)  # as a kill between the two files leaves it
    with pytest.raises(
        BadInputError, match=r"nodes\.jsonl: its version is g-\w+, must be g-\w+: its writing was inter"
    ):
        read_taxonomy(tmp_path)
    (tmp_path / VERSION).unlink()
    with pytest.raises(BadInputError, match=r"version\.json: is missing"):
        read_taxonomy(tmp_path)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    write_taxonomy(SMALL, tmp_path)
    lines = (tmp_path / NODES).read_text(encoding="utf-8").replace('"round":2', '"round":-2')
    (tmp_path / NODES).write_text(lines, encoding="utf-8")
    version = read_version(tmp_path).version
    (tmp_path / VERSION).write_text((tmp_path / VERSION).read_text().replace(version, _version(lines)))
    with pytest.raises(BadInputError, match=r"nodes\.jsonl:3: round == -2"):
        read_taxonomy(tmp_path)


def test_a_taxonomy_of_moderation_without_a_top_label_is_neither_written_nor_read(tmp_path: Path) -> None:
    labels = top_labels()
    less = type(labels)(labels.nodes[:-1])
    with pytest.raises(BadInputError, match=r"'positive~positive' is missing"):
        write_taxonomy(less, tmp_path)
    write_taxonomy(labels, tmp_path)
    lines = "".join((tmp_path / NODES).read_text().splitlines(keepends=True)[:-1])
    (tmp_path / NODES).write_text(lines)
    (tmp_path / VERSION).write_text((tmp_path / VERSION).read_text().replace(version_of(labels), _version(lines)))
    with pytest.raises(BadInputError, match=r"nodes\.jsonl: 'positive~positive' is missing"):
        read_taxonomy(tmp_path)


def _version(lines: str) -> str:
    import hashlib

    return "g-" + hashlib.sha256(lines.encode()).hexdigest()[:12]
