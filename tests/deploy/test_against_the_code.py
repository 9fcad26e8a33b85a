"""What compose file and manifests say of our own parts, held against the code: commands, variables, ports and paths."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

import cli
from dags.settings import DagSettings
from serving.triton.server import TritonServer
from streams.kafka.connection import VARIABLES as OF_KAFKA
from streams.kafka.connection import Connection
from streams.settings import StreamSettings
from tests.deploy.rendering import KUBERNETES, ROOT, containers, documents, environment, pods, render

SHARED = environment(KUBERNETES / "base" / "environment.env")
ROOMS = ("contracts", "serving", "features", "warehouse", "policy", "ab_tests", "streams", "dags")
METRICS_PORT = 9100


class Ours(NamedTuple):
    """One of our containers: where it stands, its arguments, its own variables."""

    place: str
    image: str
    arguments: tuple[str, ...]
    variables: frozenset[str]
    given: dict[str, Any]


@cache
def ours() -> tuple[Ours, ...]:
    return (*_of_compose(), *_of_kubernetes())


def _of_compose() -> Iterator[Ours]:
    for name in ("compose.yaml", "compose.gpu.yaml"):
        (found,) = documents(ROOT / "deploy" / "compose" / name)
        for service, one in found["services"].items():
            image = one.get("image", "precedent/online" if service == "models" else "")
            if "precedent/" in image:
                arguments = tuple(map(str, one["command"]))
                yield Ours(f"{name} {service}", image, arguments, frozenset(one.get("environment", {})), one)


def _of_kubernetes() -> Iterator[Ours]:
    for overlay in ("cpu", "gpu"):
        for owner, pod in pods(render(KUBERNETES / "overlays" / overlay)):
            for one in containers(pod):
                if one["image"].startswith("precedent/"):
                    place = f"{overlay} {owner['metadata']['name']}/{one['name']}"
                    names = frozenset(variable["name"] for variable in one.get("env", []))
                    yield Ours(place, one["image"], tuple(one["args"]), names, one)


def test_the_parts_are_all_there() -> None:
    commands = {one.arguments[0] for one in ours() if "online" in one.image}
    assert commands == {"worker", "sink", "recorder", "clerk", "court", "triton", "topics", "warehouse"}
    assert sum("airflow" in one.image for one in ours()) == 3  # compose and two overlays


@pytest.mark.parametrize("one", [one for one in ours() if "online" in one.image], ids=lambda one: one.place)
def test_every_command_line_is_one_that_the_program_takes(one: Ours) -> None:
    """Parsed as a call would be, to its last option, without calling it."""
    command: click.Command = cli.precedent
    context = click.Context(command, info_name="precedent")
    left = list(one.arguments)
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        found = command.get_command(context, left[0])
        assert found is not None, f"{one.place}: there is no command {left[0]}"
        command, context = found, click.Context(found, info_name=left.pop(0), parent=context)
    command.parse_args(context, left)  # raises where an option or its value is none
    assert context.args == [], one.place


def test_a_command_line_with_an_option_that_is_none_is_refused() -> None:
    worker = cli.precedent.get_command(click.Context(cli.precedent), "worker")
    assert worker is not None
    with pytest.raises(click.NoSuchOption):
        worker.parse_args(click.Context(worker), ["--metric-port", "9100"])


def test_airflow_is_given_options_that_its_starter_has() -> None:
    starter = ROOT / "deploy" / "airflow" / "standalone.py"
    done = subprocess.run(
        [sys.executable, starter, "--help"], check=True, capture_output=True, text=True, cwd=ROOT, timeout=600
    )
    for one in ours():
        if "airflow" in one.image:
            for option in one.arguments:
                assert option.partition("=")[0] in done.stdout, (one.place, option)


@cache
def read_by_the_code() -> frozenset[str]:
    """Every variable that some part reads: settings models, what the code names, and files of what is secret."""
    named = {f"PRECEDENT_{name.upper()}" for name in StreamSettings.model_fields}
    named |= {f"PRECEDENT_{field.name.upper()}" for field in dataclasses.fields(DagSettings)} - {
        "PRECEDENT_ENVIRONMENT"
    }
    named |= set(OF_KAFKA)
    secret = set[str]()
    for room in ROOMS:
        source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / room).rglob("*.py"))
        named |= set(re.findall(r"\"(PRECEDENT_[A-Z_]*[A-Z])\"", source))
        constants = dict(re.findall(r"^([A-Z_]+) = \"(PRECEDENT_[A-Z_]+)\"", source, flags=re.MULTILINE))
        secret |= set(re.findall(r"secret_in\(\s*[\w.]+,\s*\"(PRECEDENT_[A-Z_]+)\"", source))
        secret |= {constants.get(name, "") for name in re.findall(r"secret_in\(\s*[\w.]+,\s*([A-Z_]+)\)", source)} - {
            ""
        }
    return frozenset(named | {f"{name}_FILE" for name in secret})


def test_every_variable_is_one_that_the_code_reads() -> None:
    assert set(SHARED) <= read_by_the_code()
    for one in ours():
        wanted = {name for name in one.variables if name.startswith("PRECEDENT_")}
        assert wanted <= read_by_the_code(), (one.place, wanted - read_by_the_code())
        assert wanted.isdisjoint(SHARED), one.place


def test_a_variable_that_nobody_reads_would_be_seen() -> None:
    assert "PRECEDENT_RELEASE" not in read_by_the_code()
    assert {"PRECEDENT_RELEASES", "PRECEDENT_WAREHOUSE_FILE", "PRECEDENT_KAFKA_PASSWORD_FILE"} <= read_by_the_code()


def test_the_shared_variables_make_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = tmp_path / "kafka_password"
    password.write_text("secret", encoding="utf-8")
    for name, value in SHARED.items():
        monkeypatch.setenv(name, value)
    settings = StreamSettings.from_environment()
    assert settings.triton == "triton:8001"
    assert settings.releases == Path("/releases")
    assert settings.media_folders == (Path("/media"),)
    kafka = Connection.from_environment({**SHARED, "PRECEDENT_KAFKA_PASSWORD_FILE": str(password)})
    assert kafka.servers == "kafka:9092"
    assert kafka.security.protocol == "SASL_PLAINTEXT"
    assert (kafka.security.mechanism, kafka.security.username) == ("SCRAM-SHA-512", "precedent")
    assert DagSettings.from_environment(SHARED).docket == Path("/docket")


def test_probes_ask_where_the_parts_answer() -> None:
    from streams.watching.serving import _answer

    for one in ours():
        text = str(one.given.get("healthcheck", "")) + "".join(
            str(one.given.get(f"{kind}Probe", "")) for kind in ("startup", "liveness", "readiness")
        )
        for path in re.findall(r"'path': '([^']+)'", text):
            known = ("/live", "/ready") if "online" in one.image else ("/api/v2/monitor/health",)
            assert path in known, one.place
        for port, path in re.findall(r"http://127\.0\.0\.1:(\d+)(/[^'\"]*)", text):
            assert (int(port), path) in {(METRICS_PORT, "/live"), (8090, "/cases"), (8080, "/api/v2/monitor/health")}
        if "--metrics-port" in one.arguments:
            assert one.arguments[one.arguments.index("--metrics-port") + 1] == str(METRICS_PORT), one.place
            assert one.arguments[one.arguments.index("--metrics-host") + 1] == "0.0.0.0", one.place
            for port in one.given.get("ports", []):
                assert port == {"name": "metrics", "containerPort": METRICS_PORT}, one.place
    assert _answer(None, "/other")[0] == 404


def test_prometheus_finds_every_part_of_the_compose_file_where_it_is_watched() -> None:
    (found,) = documents(ROOT / "deploy" / "prometheus" / "prometheus.yml")
    (compose,) = documents(ROOT / "deploy" / "compose" / "compose.yaml")
    for job in found["scrape_configs"]:
        for target in job["dns_sd_configs"]:
            for name in target["names"]:
                command = " ".join(map(str, compose["services"][name]["command"]))
                assert f"metrics-port {target['port']}" in command or f"metrics-port={target['port']}" in command, name
    watched = {name for job in found["scrape_configs"] for target in job["dns_sd_configs"] for name in target["names"]}
    assert watched == {"worker", "sink", "recorder", "clerk", "triton"}


def test_triton_is_started_as_the_embedded_one_is() -> None:
    """What the embedded server is told of control and configuration holds for the cluster's, too."""
    source = Path(sys.modules[TritonServer.__module__].__file__ or "").read_text(encoding="utf-8")
    assert '"model-control-mode": "explicit"' in source
    assert "--disable-auto-complete-config" in source
    (compose,) = documents(ROOT / "deploy" / "compose" / "compose.yaml")
    told = [" ".join(compose["services"]["triton"]["command"])]
    for overlay in ("cpu", "gpu"):
        for _, pod in pods(render(KUBERNETES / "overlays" / overlay)):
            told += [" ".join(one["args"]) for one in pod["containers"] if one["name"] == "triton"]
    assert len(told) == 3
    assert len(set(told)) == 1
    assert "--model-control-mode=explicit" in told[0]
    assert "--disable-auto-complete-config" in told[0]


def test_the_gpu_forms_differ_from_the_others_by_the_gpu_alone() -> None:
    by_place = {one.place: one.arguments for one in ours() if one.arguments[0] == "triton"}
    assert by_place["gpu triton/models"] == (*by_place["cpu triton/models"], "--gpu")
    assert by_place["compose.gpu.yaml models"] == (*by_place["compose.yaml models"], "--gpu")
