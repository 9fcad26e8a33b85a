"""The compose files: by the schema of the compose specification, then what they must hold together."""

import json
import re
import stat
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from features.config import FeaturesConfig
from streams.kafka import agents
from streams.kafka.topics import declared
from tests.deploy.rendering import ROOT, Object, documents
from warehouse.address import parse_address

COMPOSE = ROOT / "deploy" / "compose"
MAKE_SECRETS = COMPOSE / "make-secrets"
# What is not ours is called by its own name for a part; the others are the parts of this project.
SERVERS = {"kafka", "redis", "clickhouse", "triton", "prometheus", "grafana"}
ONCE = {"topics", "migrate"}


@pytest.fixture
def compose() -> Object:
    (found,) = documents(COMPOSE / "compose.yaml")
    return dict(found)


@pytest.fixture
def services(compose: Object) -> dict[str, Any]:
    return dict(compose["services"])


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_a_compose_file_is_one_by_the_specification(name: str) -> None:
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(vendored.read_text(encoding="utf-8"))
    validator = jsonschema.Draft7Validator(schema)
    (found,) = documents(COMPOSE / name)
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(found)] == []
    found["services"]["triton"]["deploys"] = found["services"]["triton"].pop("deploy")
    assert not validator.is_valid(found), "a misspelled field passes, so the check proves nothing"


def test_a_key_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    twice = tmp_path / "compose.yaml"
    twice.write_text("services:\n  a: {image: b, image: c}\n", encoding="utf-8")
    with pytest.raises(yaml.YAMLError, match="'image' is given twice"):
        documents(twice)


def test_the_services_are_the_parts_and_each_has_a_check_limits_and_a_way_to_come_back(
    services: dict[str, Any],
) -> None:
    parts = {"models", "worker", "sink", "recorder", "clerk", "court", "airflow"}
    assert services.keys() == SERVERS | ONCE | parts
    for name, one in services.items():
        assert {"cpus", "memory"} <= one["deploy"]["resources"]["limits"].keys(), name
        if name in ONCE:
            assert one["restart"].startswith("on-failure"), name
            assert one["healthcheck"] == {"disable": True}, name
        else:
            assert one["restart"] == "unless-stopped", name
            assert one["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert one["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_no_service_may_be_root_or_gain_rights_or_write_to_its_image(services: dict[str, Any]) -> None:
    for name, one in services.items():
        assert int(one["user"].partition(":")[0]) > 0, name
        assert one["read_only"] is True, name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert not one.keys() & {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"}, name


def test_ports_are_published_on_loopback_alone_and_only_by_what_people_open(services: dict[str, Any]) -> None:
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert published.keys() == {"court", "airflow", "prometheus", "grafana"}
    for ports in published.values():
        for port in ports:
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    outside = {name for name, one in services.items() if "door" in one["networks"]}
    assert outside == published.keys(), "what publishes nothing reaches nothing outside"


def test_images_are_pinned_and_may_be_replaced(services: dict[str, Any]) -> None:
    for name, one in services.items():
        variable = re.fullmatch(r"\$\{[A-Z]+_IMAGE:-(\S+):v?(\d+\.\d+\S*)\}", one["image"])
        assert variable, (name, one["image"])


def test_clickhouse_is_of_the_engine_that_the_tests_run(services: dict[str, Any]) -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import chdb; print(chdb.engine_version)"],
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    ).stdout.strip()
    tag = services["clickhouse"]["image"].rpartition(":")[2].rstrip("}")
    assert tag == ".".join(said.split(".")[:2])


def test_what_must_be_so_first_is_waited_for(services: dict[str, Any]) -> None:
    done, healthy = "service_completed_successfully", "service_healthy"
    wanted = {
        name: {part: given["condition"] for part, given in one.get("depends_on", {}).items()}
        for name, one in services.items()
    }
    assert wanted["topics"] == {"kafka": healthy}
    assert wanted["migrate"] == {"clickhouse": healthy}
    assert wanted["worker"] == {"topics": done, "redis": healthy, "triton": healthy}
    assert wanted["sink"] == wanted["recorder"] == wanted["clerk"] == {"topics": done, "migrate": done}
    assert wanted["airflow"] == {"migrate": done, "redis": healthy}


def test_secrets_are_files_that_are_made_and_each_part_gets_its_own(compose: Object, tmp_path: Path) -> None:
    made = make_secrets(tmp_path / "secrets")
    defined = compose["secrets"]
    assert {f"${{SECRETS:-../../.state/secrets}}/{name}" for name in defined} == {
        one["file"] for one in defined.values()
    }
    assert defined.keys() <= made.keys()
    used = set[str]()
    for name, one in compose["services"].items():
        targets = {given["target"]: given["source"] for given in one.get("secrets", [])}
        used |= set(targets.values())
        for variable, value in one.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|SALT|WAREHOUSE|STORE", variable):
                assert variable.endswith("_FILE"), (name, variable)
                assert Path(value).name == targets[value], (name, variable)
    assert used == defined.keys()
    assert {given["source"] for given in compose["services"]["worker"]["secrets"]} == {"kafka_password", "online_store"}


def make_secrets(folder: Path) -> dict[str, str]:
    subprocess.run([MAKE_SECRETS, folder], check=True, timeout=30)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_secrets_are_made_once_and_are_addresses_that_the_parts_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = make_secrets(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    random = [value for name, value in made.items() if name.endswith(("_password", "_salt"))]
    assert len(set(random)) == len(random) == 7
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in random)
    online = urlsplit(FeaturesConfig(online=made["online_store"]).redis_url or "")
    assert (online.hostname, online.port, online.password) == ("redis", 6379, made["redis_password"])
    warehouse = parse_address(made["warehouse"])
    assert (warehouse.host, warehouse.user, warehouse.database) == ("clickhouse", "precedent", "precedent")
    assert warehouse.password == made["clickhouse_password"]
    (folder / "audit_salt").chmod(0o600)
    (folder / "audit_salt").unlink()
    again = make_secrets(folder)
    assert again.pop("audit_salt") != made.pop("audit_salt")
    assert again == made, "what was there stays"


def test_every_volume_is_defined_and_what_is_mounted_from_here_is_there(compose: Object) -> None:
    named = set[str]()
    for name, one in compose["services"].items():
        for volume in one.get("volumes", []):
            source = re.sub(r"\$\{MEDIA:\?[^}]*\}", "/media", volume).partition(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).exists(), (name, volume)
                assert volume.endswith(":ro"), (name, volume)
            elif not source.startswith("/"):
                named.add(source)
    assert named == compose["volumes"].keys()
    writers = {name for name, one in compose["services"].items() if "releases:/releases" in one.get("volumes", [])}
    assert writers == {"clerk", "airflow"}


def test_a_part_is_given_longer_than_it_takes_to_drain_and_workers_are_no_more_than_partitions(
    services: dict[str, Any],
) -> None:
    for name in ("worker", "sink", "recorder", "clerk"):
        assert int(services[name]["stop_grace_period"].rstrip("s")) > agents.DRAIN_S + agents.STOP_S
    asked = int(services["topics"]["command"][-1])
    uploads = {one.name: one.partitions for one in declared(brokers=1, partitions=asked)}["videos.uploaded"]
    assert services["worker"]["deploy"]["replicas"] <= uploads
