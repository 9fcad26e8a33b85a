"""A kustomization's folder in, its objects out, as `kubectl kustomize` makes them but for the hashes in names.

Only what these manifests use is known, and anything else is refused: resources, components, JSON patches by kind and
name, a namespace, and ConfigMaps made of files. Where kubectl is installed a test holds this against it.
"""

import json
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
KNOWN = {"apiVersion", "kind", "namespace", "resources", "components", "patches", "configMapGenerator"}
CLUSTER_WIDE = {"Namespace"}
Object = dict[str, Any]


class Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML in which a key that is given twice is an error, not the last one's win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set[Hashable]()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def documents(path: Path) -> list[Any]:
    """Every document of a YAML file."""
    return [one for one in yaml.load_all(path.read_text(encoding="utf-8"), Loader=Strict) if one is not None]


def render(folder: Path) -> list[Object]:
    """Every object of a kustomization, patched."""
    (given,) = documents(folder / "kustomization.yaml")
    objects = list(_objects(folder, given))
    for component in given.get("components", []):
        home = (folder / component).resolve()
        (more,) = documents(home / "kustomization.yaml")
        objects += _objects(home, more)
        _patch(objects, more)
    _patch(objects, given)
    for one in objects:
        if "namespace" in given and one["kind"] not in CLUSTER_WIDE:
            one["metadata"]["namespace"] = given["namespace"]
    return objects


def _objects(folder: Path, given: Object) -> Iterator[Object]:
    assert given.keys() <= KNOWN, f"{folder}: {given.keys() - KNOWN} is not rendered here"
    for name in given.get("resources", []):
        path = folder / name
        yield from render(path) if path.is_dir() else documents(path)
    for one in given.get("configMapGenerator", []):
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": one["name"]},
            "data": {
                **{Path(name).name: (folder / name).read_text(encoding="utf-8") for name in one.get("files", [])},
                **{key: value for name in one.get("envs", []) for key, value in environment(folder / name).items()},
            },
        }


def environment(path: Path) -> dict[str, str]:
    """NAME=VALUE lines, without comments."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pairs = [line.partition("=")[::2] for line in lines]
    found = dict(pairs)
    assert len(found) == len(pairs), f"{path}: a name is given twice"
    return found


def _patch(objects: list[Object], given: Object) -> None:
    for patch in given.get("patches", []):
        kind, name = patch["target"]["kind"], patch["target"]["name"]
        (target,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
        for step in yaml.load(patch["patch"], Loader=Strict):
            _step(target, step)


def _step(target: Object, step: Object) -> None:
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
    place: Any = target
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    match step["op"], place:
        case "add", list():
            assert last == "-", step
            place.append(step["value"])
        case "add", dict():
            place[last] = step["value"]
        case "remove", dict():
            del place[last]
        case "test", dict():
            assert place[last] == step["value"], step
        case _:
            raise AssertionError(f"{json.dumps(step)} is not rendered here")


def pods(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Every object that makes pods, with the pod's spec."""
    for one in objects:
        if "template" in one.get("spec", {}):
            yield one, one["spec"]["template"]["spec"]


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", []), *pod["containers"]]
