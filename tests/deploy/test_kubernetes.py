"""The manifests of Kubernetes: each object by the schema of its version, then what they must hold together."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Set
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from streams.kafka import agents
from streams.kafka.topics import declared
from streams.settings import StreamSettings
from tests.deploy.custom_resources import SCHEMAS
from tests.deploy.rendering import KUBERNETES, Object, containers, documents, pods, render

VERSIONS = ("1.32", "1.37")
OVERLAYS = ("cpu", "gpu")
SHORT_LIVED = {"Job"}


@cache
def rendered(overlay: str) -> list[Object]:
    return render(KUBERNETES / "overlays" / overlay)


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return deepcopy(rendered(request.param))


@pytest.fixture(autouse=True, scope="module")
def schemas_are_read_once() -> Iterator[None]:
    """The validator reads the definitions of all of Kubernetes anew for each object."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kubernetes_validate.utils, "schema_contents", cache(kubernetes_validate.utils.schema_contents))
        yield


def named(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_of_its_schema_and_says_nothing_that_it_does_not_know(
    objects: list[Object], version: str
) -> None:
    for one in objects:
        if one["kind"] not in SCHEMAS:
            assert kubernetes_validate.validate(one, version, strict=True) == version


def test_a_misspelled_field_is_refused_by_the_same_schema(objects: list[Object]) -> None:
    worker = named(objects, "Deployment", "worker")
    worker["spec"]["template"]["spec"]["terminationGracePeriod"] = 45
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(worker, VERSIONS[0], strict=True)


def test_custom_resources_say_only_what_their_kinds_know(objects: list[Object]) -> None:
    found = [one for one in objects if one["kind"] in SCHEMAS]
    assert {one["kind"] for one in found} == set(SCHEMAS)
    for one in found:
        validator = jsonschema.Draft202012Validator(SCHEMAS[one["kind"]])
        assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(one)] == [], one["kind"]
        one["spec"]["misspelled"] = 1
        assert not validator.is_valid(one)


def test_the_scaler_knows_kafka_by_the_secret_that_the_parts_have(objects: list[Object]) -> None:
    secrets = example_secrets()
    (trigger,) = named(objects, "ScaledObject", "worker")["spec"]["triggers"]
    login = named(objects, "TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]["secretTargetRef"]
    assert {one["parameter"] for one in login} == {"username", "password"}
    assert all(one["key"] in secrets[one["name"]] for one in login)
    shared = named(objects, "ConfigMap", "environment")["data"]
    assert shared["PRECEDENT_KAFKA_MECHANISM"].lower().replace("-", "") == trigger["metadata"]["sasl"].replace("_", "")
    host, _, port = trigger["metadata"]["bootstrapServers"].partition(":")
    assert [one["port"] for one in named(objects, "Service", host.split(".")[0])["spec"]["ports"]] == [int(port)]
    assert host.split(".")[1] == named(objects, "Namespace", "precedent")["metadata"]["name"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubectl_renders_the_same_objects(overlay: str) -> None:
    folder = KUBERNETES / "overlays" / overlay
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True, timeout=600
    )
    # ConfigMaps made of files get a hash of their content after their name, here and wherever they are meant.
    made = "|".join(one["metadata"]["name"] for one in render(folder) if one["kind"] == "ConfigMap")
    text = re.sub(rf"\b({made})-[a-z0-9]{{10}}\b", r"\1", done.stdout)
    assert _by_identity(yaml.safe_load_all(text)) == _by_identity(render(folder))


def _by_identity(objects: Any) -> dict[tuple[str, str], Object]:
    return {(one["kind"], one["metadata"]["name"]): json.loads(json.dumps(one)) for one in objects}


def test_every_file_beside_a_kustomization_is_part_of_it() -> None:
    for kustomization in KUBERNETES.rglob("kustomization.yaml"):
        (given,) = documents(kustomization)
        said = set(given.get("resources", []))
        for one in given.get("configMapGenerator", []):
            said |= {*one.get("files", []), *one.get("envs", [])}
        folder = kustomization.parent
        there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"kustomization.yaml"}
        assert there == {name for name in said if (folder / name).is_file()}, folder
        assert all((folder / name).exists() for name in (*said, *given.get("components", []))), folder


def test_no_container_may_be_root_or_gain_rights_or_write_to_its_image(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        place = owner["metadata"]["name"]
        assert pod["automountServiceAccountToken"] is False, place
        assert pod["enableServiceLinks"] is False, place
        assert pod["securityContext"]["runAsNonRoot"] is True, place
        assert pod["securityContext"]["runAsUser"] > 0, place
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, place
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, (place, container["name"])


def test_every_container_has_requests_and_limits_and_what_runs_on_has_probes(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        for container in containers(pod):
            place = (owner["metadata"]["name"], container["name"])
            for side in ("requests", "limits"):
                assert {"cpu", "memory"} <= container["resources"][side].keys(), place
        if owner["kind"] not in SHORT_LIVED:
            for container in pod["containers"]:
                assert "readinessProbe" in container, (owner["metadata"]["name"], container["name"])
            assert any("livenessProbe" in container for container in pod["containers"])


def test_no_image_is_whatever_is_newest(objects: list[Object]) -> None:
    for _, pod in pods(objects):
        for container in containers(pod):
            name, _, tag = container["image"].rpartition(":")
            assert name, container["image"]
            assert re.match(r"\d+\.\d+", tag), container["image"]


def test_every_volume_is_defined_and_used_and_what_it_is_made_of_exists(objects: list[Object]) -> None:
    claims = {one["metadata"]["name"] for one in objects if one["kind"] == "PersistentVolumeClaim"}
    maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    secrets = example_secrets()
    for owner, pod in pods(objects):
        place = owner["metadata"]["name"]
        volumes = {one["name"]: one for one in pod.get("volumes", [])}
        templates = {one["metadata"]["name"] for one in owner["spec"].get("volumeClaimTemplates", [])}
        mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
        assert mounted == volumes.keys() | templates, place
        assert all(made_of_what_exists(volume, claims, maps.keys(), secrets) for volume in volumes.values()), place
        for container in containers(pod):
            for source in container.get("envFrom", []):
                assert source["configMapRef"]["name"] in maps, place
            for mount in container["volumeMounts"]:
                if "subPath" in mount:
                    assert mount["subPath"] in maps[volumes[mount["name"]]["configMap"]["name"]], mount


def made_of_what_exists(
    volume: Object, claims: Set[str], maps: Set[str], secrets: Mapping[str, Mapping[str, str]]
) -> bool:
    match volume:
        case {"persistentVolumeClaim": {"claimName": claim}}:
            return claim in claims
        case {"configMap": {"name": name}}:
            return name in maps
        case {"projected": {"sources": sources}}:
            return all(
                item["key"] in secrets[source["secret"]["name"]]
                for source in sources
                for item in source["secret"]["items"]
            )
        case {"emptyDir": {"sizeLimit": _}}:
            return True
    return False


def test_every_account_exists_and_holds_no_token(objects: list[Object]) -> None:
    accounts = {one["metadata"]["name"]: one for one in objects if one["kind"] == "ServiceAccount"}
    assert all(one["automountServiceAccountToken"] is False for one in accounts.values())
    assert {pod["serviceAccountName"] for _, pod in pods(objects)} == accounts.keys()


def test_no_secret_is_in_the_manifests(objects: list[Object]) -> None:
    assert not [one for one in objects if one["kind"] == "Secret"]
    for name, keys in example_secrets().items():
        assert all(value == "" for value in keys.values()), name
    for _, pod in pods(objects):
        for container in containers(pod):
            for variable in container.get("env", []):
                if re.search("PASSWORD|SECRET|TOKEN|SALT|WAREHOUSE|STORE", variable["name"]):
                    assert variable["name"].endswith("_FILE"), variable


def example_secrets() -> dict[str, dict[str, str]]:
    found = documents(KUBERNETES / "secrets.example.yaml")
    assert {one["metadata"]["namespace"] for one in found} == {"precedent"}
    return {one["metadata"]["name"]: one["stringData"] for one in found}


def test_a_secret_that_a_variable_names_is_mounted_where_it_says(objects: list[Object]) -> None:
    for owner, pod in pods(objects):
        secrets = {
            item["path"]
            for volume in pod.get("volumes", [])
            for source in volume.get("projected", {}).get("sources", [])
            for item in source["secret"]["items"]
        }
        for container in containers(pod):
            mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
            for variable in container.get("env", []):
                if variable["name"].endswith("_FILE"):
                    path = Path(variable["value"])
                    assert str(path.parent) in mounts, (owner["metadata"]["name"], variable)
                    assert path.name in secrets, (owner["metadata"]["name"], variable)


def test_workers_are_never_more_than_the_partitions_that_the_job_declares(objects: list[Object]) -> None:
    scaler = named(objects, "ScaledObject", "worker")["spec"]
    (trigger,) = scaler["triggers"]
    (topics,) = named(objects, "Job", "topics")["spec"]["template"]["spec"]["containers"]
    asked = int(topics["args"][topics["args"].index("--partitions") + 1])
    by_topic = {one.name: one.partitions for one in declared(brokers=3, partitions=asked)}
    assert scaler["minReplicaCount"] <= scaler["fallback"]["replicas"] <= scaler["maxReplicaCount"]
    assert scaler["maxReplicaCount"] <= by_topic[trigger["metadata"]["topic"]]
    assert trigger["metadata"]["consumerGroup"] == StreamSettings.model_fields["group"].default
    assert "replicas" not in named(objects, "Deployment", "worker")["spec"], "the scaler says how many there are"


def test_a_part_is_given_longer_than_it_takes_to_drain_and_to_stop(objects: list[Object]) -> None:
    for name in ("worker", "sink", "recorder"):
        grace = named(objects, "Deployment", name)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace > agents.DRAIN_S + agents.STOP_S, name
    clerk = named(objects, "StatefulSet", "docket")["spec"]["template"]["spec"]
    assert clerk["terminationGracePeriodSeconds"] > agents.DRAIN_S + agents.STOP_S


def test_one_pod_holds_the_docket_and_all_who_open_it_are_on_its_node(objects: list[Object]) -> None:
    holders = {
        owner["metadata"]["name"]: (owner, pod)
        for owner, pod in pods(objects)
        if any(volume.get("persistentVolumeClaim", {}).get("claimName") == "docket" for volume in pod["volumes"])
    }
    assert holders.keys() == {"docket", "airflow"}
    for owner, _ in holders.values():
        assert owner["kind"] == "StatefulSet"
        assert owner["spec"]["replicas"] == 1
    (rule,) = holders["airflow"][1]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": "docket"}
    assert named(objects, "PersistentVolumeClaim", "docket")["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_what_only_reads_the_releases_cannot_write_them(objects: list[Object]) -> None:
    writers = {
        container["name"]
        for _, pod in pods(objects)
        for container in containers(pod)
        for mount in container["volumeMounts"]
        if mount["name"] == "releases" and not mount.get("readOnly")
    }
    assert writers == {"clerk", "airflow"}
    for _, pod in pods(objects):
        for container in containers(pod):
            for mount in container["volumeMounts"]:
                assert mount["name"] not in {"media", "secrets", "config"} or mount["readOnly"], container["name"]


def ports_of(template: Object) -> list[Object]:
    return [port for container in template["spec"]["containers"] for port in container.get("ports", [])]


def test_every_selector_finds_pods_and_every_port_that_is_named_is_open(objects: list[Object]) -> None:
    templates = [one["spec"]["template"] for one, _ in pods(objects)]
    for service in (one for one in objects if one["kind"] == "Service"):
        selector = service["spec"]["selector"]
        found = [one for one in templates if selector.items() <= one["metadata"]["labels"].items()]
        assert found, service["metadata"]["name"]
        open_ports = {port["containerPort"] for one in found for port in ports_of(one)}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= open_ports, service["metadata"]["name"]
    for one in objects:
        if one["kind"] == "PodDisruptionBudget":
            wanted = one["spec"]["selector"]["matchLabels"]
            assert any(wanted.items() <= template["metadata"]["labels"].items() for template in templates), wanted
    for _, pod in pods(objects):
        for container in pod["containers"]:
            ports = {port["name"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(kind, {})
                asked = {probe[way]["port"] for way in ("httpGet", "tcpSocket") if way in probe}
                assert asked <= ports, (container["name"], kind)


def test_nothing_may_be_reached_but_by_those_who_use_it(objects: list[Object]) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "NetworkPolicy"}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    users: dict[str, set[str]] = {}
    for owner, _ in pods(objects):
        for label in owner["spec"]["template"]["metadata"]["labels"]:
            if label.startswith("uses-"):
                users.setdefault(label.removeprefix("uses-"), set()).add(owner["metadata"]["name"])
    assert users == {
        "kafka": {"worker", "sink", "recorder", "docket", "topics"},
        "triton": {"worker"},
        "redis": {"worker", "airflow"},
        "clickhouse": {"sink", "recorder", "docket", "airflow", "migrate"},
    }
    for part in users:
        services = named(objects, "Service", part)["spec"]["ports"]
        (rule,) = policies[f"to-{part}"]["ingress"]
        assert rule["from"] == [{"podSelector": {"matchLabels": {f"uses-{part}": "yes"}}}]
        assert {port["port"] for port in rule["ports"]} == {port["port"] for port in services}
        (way,) = policies[f"uses-{part}"]["egress"]
        assert way["ports"] == rule["ports"]
