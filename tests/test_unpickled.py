"""No pickle, code or shell from outside: what loads data that can run is refused in the syntax trees of the project."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.test_import_graph import ROOMS

ROOT = Path(__file__).parents[1]
FOLDERS = (*(ROOMS - {"cli"}), "deploy", "tests")
FILES = sorted([ROOT / "cli.py", *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))])
MODULES = frozenset(
    {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
)
CALLS = frozenset({"eval", "exec", "os.system", "os.popen", "yaml.unsafe_load", "yaml.full_load"})
XML = frozenset({"xml.sax", "xml.dom.minidom", "xml.dom.pulldom", "lxml"})
# What is allowed, by file and call, and why: none is now. One that is not needed any more fails too.
EXCEPTIONS: dict[tuple[str, str], str] = {}
SAFE_LOADERS = ("SafeLoader", "Strict")
"""PyYAML's own, and the deployment tests' subclass of it that refuses keys given twice."""


def faults(source: str) -> Iterator[str]:
    """Each thing in a file that may run what it reads."""
    names: dict[str, str] = {}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {
                alias.asname or alias.name.split(".")[0]: (alias.asname and alias.name) or alias.name.split(".")[0]
                for alias in node.names
            }
            yield from (f"import {alias.name}" for alias in node.names if _is_refused(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            if _is_refused(node.module):
                yield f"import {node.module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node, names)


def _is_refused(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in MODULES or module in XML


def _of_call(node: ast.Call, names: dict[str, str]) -> Iterator[str]:
    called = _called(node.func, names)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if called in CALLS:
        yield called
    loader = given.get("Loader", "".join(map(ast.unparse, node.args[1:])))
    if called in {"yaml.load", "yaml.load_all"} and not loader.endswith(SAFE_LOADERS):
        yield f"{called} without a safe loader"
    if called == "torch.load" and given.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if called.endswith(".from_pretrained") and "Model" in called and given.get("use_safetensors") != "True":
        yield f"{called} without use_safetensors=True"
    if given.get("allow_pickle", "False") != "False":
        yield f"{called} with allow_pickle"
    if given.get("shell", "False") != "False":
        yield f"{called} with shell"
    if given.get("trust_remote_code", "False") != "False":
        yield f"{called} with trust_remote_code"
    if called == "asyncio.create_subprocess_shell":
        yield called


def _called(function: ast.expr, names: dict[str, str]) -> str:
    """The dotted name of what is called, with what it was imported as put right."""
    text = ast.unparse(function)
    first, dot, rest = text.partition(".")
    whole = f"{names.get(first, first)}{dot}{rest}"
    return whole.replace("numpy.", "np.", 1) if whole.startswith("numpy.") else whole


def test_nothing_in_the_project_loads_what_can_run() -> None:
    found = {
        (str(file.relative_to(ROOT)), fault)
        for file in FILES
        for fault in faults(file.read_text(encoding="utf-8"))
        if file != Path(__file__)
        and not (file.is_relative_to(ROOT / "tests") and "use_safetensors" in fault)  # what a test itself wrote
    }
    assert found - EXCEPTIONS.keys() == set()
    idle = {one for one in EXCEPTIONS.keys() - found if (ROOT / one[0]).exists()}
    assert idle == set(), "an exception that is not needed any more"
    assert len(FILES) > 300


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import pickle", "import pickle"),
        ("def f():\n    from joblib import load", "import joblib"),
        ("import torch\ntorch.load('x')", "torch.load without weights_only=True"),
        ("import torch as t\nt.load('x', weights_only=False)", "torch.load without weights_only=True"),
        ("from torch import load\nload('x')", "torch.load without weights_only=True"),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", "np.load with allow_pickle"),
        ("import numpy as np\nnp.load('x', allow_pickle=flag)", "np.load with allow_pickle"),
        ("import yaml\nyaml.load(x)", "yaml.load without a safe loader"),
        ("import yaml\nyaml.load(x, Loader=yaml.Loader)", "yaml.load without a safe loader"),
        ("import yaml\nyaml.load_all(x, yaml.FullLoader)", "yaml.load_all without a safe loader"),
        ("import yaml\nyaml.load(x, Loader=yaml.CSafeLoader)", None),
        ("eval('1')", "eval"),
        ("exec(text)", "exec"),
        ("import subprocess\nsubprocess.run('ls', shell=True)", "subprocess.run with shell"),
        ("import os\nos.system('ls')", "os.system"),
        ("AutoModel.from_pretrained('x')", "AutoModel.from_pretrained without use_safetensors=True"),
        ("M.from_pretrained('x', trust_remote_code=True)", "M.from_pretrained with trust_remote_code"),
        ("import xml.dom.minidom", "import xml.dom.minidom"),
        ("import torch\ntorch.load('x', weights_only=True)", None),
        ("import numpy as np\nnp.load('x', allow_pickle=False)", None),
        ("import yaml\nyaml.safe_load(x)", None),
        ("model.eval()", None),
        ("json.load(x)", None),
    ],
)
def test_the_reader_finds_each_of_them_under_any_name(source: str, fault: str | None) -> None:
    assert list(faults(source)) == ([fault] if fault else [])


def test_the_strict_loader_of_the_deployment_tests_is_a_safe_one() -> None:
    from tests.deploy.rendering import Strict

    assert issubclass(Strict, yaml.SafeLoader | yaml.CSafeLoader)
