"""Every page that the project writes, given hostile words: they are shown as text, and a policy lets nothing run."""

import ast
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from contracts.taxonomy import Category, Group
from contracts.verdicts import Citation, Decision
from policy.reasoning.training.curves import write_page
from streams.demo.page import Example, render
from streams.demo.summary import DemoSummary, GroupAgreement, RankedVideo
from tests.streams.events import raw
from tests.streams.test_moderation import moderated

ROOT = Path(__file__).parents[1]
ROOMS = ("policy", "streams", "ab_tests", "warehouse", "serving", "features", "dags", "contracts")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "javascript:alert(1)",
    "</script><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</td></table><iframe src=//evil.example>",
    "{{ 7 * 7 }}{% raw %}",
    "<!--",
    "]]>",
    "&lt;script&gt;",
    "\u202e\x00<b>",
)


class Reader(HTMLParser):
    """A page as a browser reads it: each tag with its attributes, the text between, the policy."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """The tags and the names of their attributes: what no word may change."""
        return [(tag, tuple(name for name, _ in attributes)) for tag, attributes in self.tags]

    @property
    def policy(self) -> str:
        metas = [dict(attributes) for tag, attributes in self.tags if tag == "meta"]
        return next((m["content"] or "" for m in metas if m.get("http-equiv") == "Content-Security-Policy"), "")


def demo_page(words: str) -> str:
    """The demo's page with these words wherever an uploader or a model could have written them."""
    [verdict] = moderated(raw("x", title="t 0.95")).verdicts
    cited = Citation(case_id="case-1", category=Category.ABUSE_AND_HATE, similarity=0.9)
    verdict = verdict.model_copy(update={"citations": (cited,)})
    summary = DemoSummary(
        sent=1,
        judged=1,
        dead=0,
        features_fresh=1,
        warehouse_rows=1,
        decisions={Decision.REMOVE: 1},
        agreement=[GroupAgreement(Group.LAW_AND_SAFETY, 1, 1)],
        latency_ms={"p50": 1.0, "p99": 2.0},
        per_second=1.0,
        workers=1,
        trained_on=1,
        ranking=[RankedVideo("v", words, Category.POSITIVE, 1.0, 0.1, Decision.ALLOW, 1, 1)],
        trend=None,
        adjudicated=None,
        exposure=[words],
        experiment=None,
        steps_s={words: 1.0},
    )
    examples = [Example(verdict, words, "", Category.POSITIVE)]
    return render(summary, examples, {"case-1": words})


def recipe_page(words: str, folder: Path) -> str:
    (folder / "curve.jsonl").write_text(
        "".join(json.dumps({"step": step, words: float(step)}) + "\n" for step in (1, 2, 3))
    )
    write_page(folder / "page.html", {words: folder}, [(words, "b"), ("c", words)], title=words)
    return (folder / "page.html").read_text()


@pytest.mark.parametrize("words", HOSTILE)
def test_the_demos_page_shows_hostile_words_as_text(words: str) -> None:
    page, harmless = Reader(demo_page(words)), Reader(demo_page("harmless"))
    assert page.shape == harmless.shape
    assert page.text.count(words.replace("\x00", "�")) + page.text.count(words) >= 4
    assert "default-src 'none'" in page.policy
    assert "script-src" not in page.policy


@pytest.mark.parametrize("words", HOSTILE)
def test_the_recipes_page_shows_hostile_words_as_text(words: str, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    page, harmless = Reader(recipe_page(words, tmp_path)), Reader(recipe_page("harmless", tmp_path / "plain"))
    assert page.shape == harmless.shape
    assert words.replace("\x00", "�") in page.text or words in page.text
    assert "default-src 'none'" in page.policy


def test_every_whole_page_has_a_policy_that_lets_no_script_run() -> None:
    templates = [path for room in ROOMS for path in (ROOT / room).rglob("*.j2")]
    whole = [path for path in templates if "<!doctype" in path.read_text(encoding="utf-8").lower()]
    assert len(whole) >= 3
    for path in whole:
        policy = re.search(
            r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', path.read_text(encoding="utf-8")
        )
        assert policy is not None, path
        assert "default-src 'none'" in policy[1]
        assert "script-src" not in policy[1]


def test_every_template_is_escaped_and_none_marks_words_as_safe() -> None:
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.j2")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape|<script", text), path
        assert not re.search(r"(?:href|src)=\"?\{\{(?! (?:tried\.page\.name|example\.picture|url\())", text), path
    environments = 0
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Environment", "jinja2.Environment"}:
                environments += 1
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("autoescape") == "True", path
    assert environments >= 3
