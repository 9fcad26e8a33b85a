"""The dashboard, the alerts and the scrapes against the registries that the parts really export."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from streams.clerk.metrics import ClerkMetrics
from streams.ingest.metrics import IngestMetrics
from streams.worker.metrics import WorkerMetrics
from streams.worker.stages import STAGES
from streams.writing import WriterMetrics

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "precedent.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
OF_THE_SCRAPE = {"job", "instance"}
"""Labels that Prometheus gives to all that it scrapes; `up` has these alone."""

_WORD = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_FUNCTIONS = {
    *("absent", "clamp_min", "count", "deriv", "histogram_quantile", "increase", "max", "min", "rate", "sum"),
    *("and", "or", "unless", "by", "on", "without", "ignoring"),
}


def exported() -> Mapping[str, tuple[set[str], set[tuple[str, str]]]]:
    """Every sample of the parts' registries after each has counted something: labels, and (label, value) pairs."""
    worker, ingest, clerk = WorkerMetrics(), IngestMetrics(), ClerkMetrics({"open": 5.0})
    writer = WriterMetrics()
    for metrics in (worker, ingest):
        metrics.count_dead(["contract"])
        metrics.count_batch(3, repeated=1, stale=1)
        metrics.waiting("scorer", 1.0)
        metrics.see_offsets({0: 1}, {0: 1})
    worker.observe_verdicts([0.1])
    for stage in STAGES:
        worker.count_stage(stage, 0.1)
    for outcome in ("agrees", "differs", "missing", "decided", "fell_back"):
        worker._opinions.labels(outcome)
    with ingest.inserting("videos.verdicts", 1):
        pass
    ingest.observe_kept([0.0])
    clerk.opened({"report_rate": 1}, without_frames=0)
    clerk.done("open", 1)
    found: dict[str, tuple[set[str], set[tuple[str, str]]]] = {"up": (set(), set())}
    for registry in (worker.registry, ingest.registry, clerk.registry, writer.registry):
        for name, labels in samples(registry):
            names, values = found.setdefault(name, (set(), set()))
            names.update(labels)
            values.update(labels.items())
    return found


def samples(registry: CollectorRegistry) -> Iterator[tuple[str, Mapping[str, str]]]:
    for family in registry.collect():
        for sample in family.samples:
            yield sample.name, sample.labels


EXPORTED = exported()


def faults(expression: str) -> list[str]:
    """What an expression uses that no part exports: metrics, labels, values of labels that are fixed."""
    found = []
    groupings = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expression)
    bare = re.sub(r"\b(?:by|on|without|ignoring)\s*\([^)]*\)", " ", re.sub(r"\[[^\]]*\]", " ", expression))
    used: set[str] = set()
    for name, matchers in re.findall(rf"({_WORD})\s*(\{{[^}}]*\}})?", re.sub(r"\b\d[\d.e+]*", " ", bare)):
        if name in _FUNCTIONS:
            continue
        if name not in EXPORTED:
            found.append(f"metric {name}")
            continue
        labels, values = EXPORTED[name]
        used |= labels
        for label, operator, value in re.findall(rf'({_WORD})\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers or ""):
            if label not in labels | OF_THE_SCRAPE:
                found.append(f"label {label} of {name}")
            elif label in {"outcome", "stage"}:
                known = {pair[1] for pair in values if pair[0] == label}
                options = value.split("|") if "~" in operator else [value]
                found += [f"{label}={one} of {name}" for one in options if one not in known]
    for group in groupings:
        found += [f"label {one}" for one in re.findall(_WORD, group) if one not in used | OF_THE_SCRAPE]
    return found


PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
SHOWN = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
ALERTED = [(rule["alert"], rule["expr"]) for rule in RULES]


@pytest.mark.parametrize(("where", "expression"), SHOWN + ALERTED)
def test_what_is_shown_or_alerted_on_is_exported_by_a_part(where: str, expression: str):
    assert faults(expression) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(precedent_event_total[5m])", "metric precedent_event_total"),
        ('precedent_lag_events{topic="x"}', "label topic of precedent_lag_events"),
        ('rate(precedent_events_total{outcome=~"dead|lost"}[5m])', "outcome=lost of precedent_events_total"),
        ("sum by (le, stage) (rate(precedent_feature_latency_seconds_bucket[5m])) > 1e9", "label stage"),
    ],
)
def test_the_reader_of_expressions_finds_what_is_not_exported(expression: str, fault: str):
    assert faults(expression) == [fault]


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_every_alert_has_a_summary_a_severity_and_the_place_of_its_runbook(rule: dict):
    kebab = re.sub(r"(?<!^)(?=[A-Z])", "-", rule["alert"]).lower()
    assert rule["annotations"]["runbook"] == f"docs/operators.md#{kebab}"
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    grouped = set(re.findall(_WORD, " ".join(re.findall(r"\bby \(([^)]*)\)", rule["expr"]))))
    assert used <= (grouped | OF_THE_SCRAPE), "a label that the expression sums away is empty in the summary"


def test_the_page_for_operators_says_what_to_do_about_each_alert():
    page = (DEPLOY.parent / "docs" / "operators.md").read_text(encoding="utf-8")
    headings = {match.strip().lower().replace(" ", "-") for match in re.findall(r"^#+ (.*)$", page, re.MULTILINE)}
    assert {rule["annotations"]["runbook"].partition("#")[2] for rule in RULES} <= headings


def test_the_dashboard_has_what_an_operator_looks_for_and_no_panel_lies_on_another():
    expressions = " ".join(expression for _, expression in SHOWN)
    for metric in (
        *("precedent_feature_latency_seconds_bucket", "precedent_events_total", "precedent_lag_events"),
        *("precedent_waiting_seconds", "precedent_dead_letters_total", "precedent_batch_events_bucket"),
        *("precedent_rebalances_total", "precedent_release_version", "precedent_casebook_version"),
        *("precedent_candidate_decisions_total", "process_resident_memory_bytes"),
    ):
        assert metric in expressions
    for quantile in ("0.5", "0.95", "0.99"):
        assert f"histogram_quantile({quantile}, sum by (le) (rate(precedent_feature_latency" in expressions
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells, panel["title"]
        cells |= own
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}


def test_every_part_of_the_group_is_scraped_on_the_port_that_containers_are_given():
    scrapes = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    ports = {scrape["job_name"]: scrape["dns_sd_configs"][0]["port"] for scrape in scrapes}
    assert {f"precedent-{part}": 9100 for part in ("worker", "sink", "recorder", "clerk")}.items() <= ports.items()


def promtool(*arguments: str, folder: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian: the package prometheus)")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
    ids=" ".join,
)
def test_prometheus_itself_takes_the_files_and_fires_the_alerts_at_hand_worked_series(arguments: tuple[str, ...]):
    promtool(*arguments, folder=DEPLOY / "prometheus")


def test_prometheus_itself_parses_what_the_dashboard_asks_for(tmp_path: Path):
    asked = [expression.replace("$__rate_interval", "5m") for _, expression in SHOWN]
    rules = [{"record": f"shown:{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "shown.yml").write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": rules}]}))
    promtool("check", "rules", "shown.yml", folder=tmp_path)
