"""What a person sees of a grown taxonomy: sums that add up, arcs as wide as what they hold, words that stay words."""

import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl

from contracts.growth import Origin
from policy.growth.page.page import write_page
from policy.growth.page.sunburst import EDGES, sunburst
from policy.growth.page.tally import tree_of
from policy.growth.parts import write_part
from policy.growth.pictures.collect import KEPT as PICTURES
from policy.growth.samples.referee import DROPPED, KEPT
from policy.growth.taxonomy.folder import write_taxonomy
from policy.growth.taxonomy.hierarchy import Taxonomy, taxonomy_of

TYPES = taxonomy_of([("Text", "Signs"), ("Text", "Menus"), ("Nature",)], Origin.SEED)
MENUS, SIGNS, NATURE = (
    next(node for node in TYPES.nodes if node.name == name) for name in ("Menus", "Signs", "Nature")
)


def test_a_type_has_the_samples_and_leaves_of_all_below_it() -> None:
    nature, text = tree_of(TYPES, {SIGNS.node_id: 3, MENUS.node_id: 1, NATURE.node_id: 4})

    assert (text.node.label, text.samples, text.leaves) == ("Text", 4, 2)
    assert [(one.node.name, one.samples) for one in text.below] == [("Menus", 1), ("Signs", 3)]
    assert (nature.samples, nature.leaves) == (4, 1)


def test_arcs_are_as_wide_as_what_they_hold() -> None:
    roots = tree_of(TYPES, {SIGNS.node_id: 3, MENUS.node_id: 1, NATURE.node_id: 4})
    drawn = sunburst(roots)

    assert re.findall(r"<title>([^<]*)</title>", drawn) == [
        "Nature: 4 samples (50.0%)",
        "Text: 4 samples (50.0%)",
        "Text~Menus: 1 samples (12.5%)",
        "Text~Signs: 3 samples (37.5%)",
    ]
    # Nature is the right half: from the top of the ring's outer edge to its bottom
    assert f"M0.0 -{EDGES[1]:.1f}A{EDGES[1]:g} {EDGES[1]:g} 0 0 1 0.0 {EDGES[1]:.1f}" in drawn
    assert drawn.count("<path") == 4


def test_without_samples_leaves_are_drawn_and_one_type_alone_is_a_whole_circle() -> None:
    assert "3 leaves" in sunburst(tree_of(TYPES, {}))
    alone = sunburst(tree_of(taxonomy_of([("Nature",)]), {}))
    assert "100.0%" in alone
    assert alone.count("M") == 2


class Reader(HTMLParser):
    """What a browser would run or fetch, and the text that it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_what_a_model_wrote_is_shown_and_never_run(tmp_path: Path) -> None:
    types = taxonomy_of([("Text", "<script>alert(1)</script>")])
    home, folder = _judged(tmp_path, types, question="<img src=http://x.example/a onerror=alert(2)>?")

    write_page(folder, home, tmp_path / "page.html")
    read = Reader()
    read.feed((tmp_path / "page.html").read_text(encoding="utf-8"))

    assert "script" not in read.tags
    assert read.tags.count("img") == 1
    assert all(address.startswith("data:image/jpeg;base64,") for address in read.addresses)
    assert "<img src=http://x.example/a onerror=alert(2)>?" in read.text
    assert "1 of 3 votes 1" in " ".join(read.text.split())


def test_a_taxonomy_alone_has_a_page_too(tmp_path: Path) -> None:
    write_taxonomy(TYPES, tmp_path / "taxonomy")
    write_page(tmp_path / "taxonomy", None, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Leaves by type" in page
    assert "What became of the pictures" not in page


def _judged(tmp_path: Path, types: Taxonomy, *, question: str) -> tuple[Path, Path]:
    """One picture and one sample that was passed, another that one referee passed."""
    home, folder = tmp_path / "home", tmp_path / "taxonomy"
    write_taxonomy(types, folder)
    node = types.leaves[0].node_id
    pictures = pl.DataFrame([("p1", "p1.jpg", [b"jpeg"], 4, 4)], schema=dict(PICTURES), orient="row")
    none = pl.DataFrame(schema={"reason": pl.String})
    kept = pl.DataFrame([("s1", "p1", node, question, "yes", [1, 1, 0])], schema=dict(KEPT), orient="row")
    lost = [("s2", "p1", node, "q", "a", [1, 0, 0], "1 of 3 votes", "")]
    write_part(home / "pictures", 0, pictures, none, input="a", plan="b")
    dropped = pl.DataFrame(lost, schema=dict(DROPPED), orient="row")
    write_part(home / "judged", 0, kept, dropped, input="a", plan="b")
    return home, folder
