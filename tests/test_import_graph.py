"""The rooms' import rule, read from the syntax trees of the files as they stand."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "contracts",
    "serving",
    "features",
    "warehouse",
    "policy",
    "streams",
    "ab_tests",
    "dags",
    "simulation",
    "bench",
    "cli",
}
MAY_IMPORT = {
    "contracts": set(),
    "serving": {"contracts"},
    "features": {"contracts"},
    "warehouse": {"contracts"},
    "policy": {"contracts", "warehouse", "serving"},
    "ab_tests": {"contracts", "warehouse"},
    "simulation": {"contracts"},
    "streams": ROOMS - {"cli", "bench", "dags"},
    "dags": ROOMS - {"cli", "bench", "streams"},
    "bench": ROOMS - {"cli", "dags"},
    "cli": ROOMS - {"bench", "dags"},
}


def imports_of(source: str) -> set[str]:
    """The top-level modules that a file imports anywhere, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "rooms are imported by their full name"
            found.add((node.module or "").split(".")[0])
    return found


def files_of(room: str) -> list[Path]:
    return [ROOT / "cli.py"] if room == "cli" else sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_the_rooms_it_may(room: str) -> None:
    wrong = {
        f"{file.relative_to(ROOT)} imports {other}"
        for file in files_of(room)
        for other in imports_of(file.read_text(encoding="utf-8")) & (ROOMS - {room})
        if other not in MAY_IMPORT[room]
    }
    assert wrong == set()


def test_policy_shares_of_serving_only_what_training_and_serving_must_have_in_one_copy() -> None:
    shared = ("serving.preprocess", "serving.student", "serving.export", "serving.casebook", "serving.releases")
    used = {
        node.module
        for file in files_of("policy")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "serving"
    }
    scoring = {"serving.scorer", "serving.in_process"}
    assert {m for m in used if not m.startswith(shared) and m not in scoring} == set()


def test_the_reader_finds_imports_inside_functions_too() -> None:
    source = "def f():\n    from streams.app import app\n    import policy.train\n"
    assert imports_of(source) == {"streams", "policy"}


def test_every_package_of_the_tree_is_a_known_room() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= ROOMS
