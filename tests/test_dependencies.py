"""What is installed: as locked, with a digest each, consistent but for overrides, under licences that we may use."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy import audit

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
OWN = "precedent"
NOT_LOCKED = {OWN, "pip", "uv"}
"""The project itself, and what may have made the environment."""

# Licences whose terms an Apache-2.0 program that depends on the package, and does not copy it, keeps by using it.
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC"),
    *("LLVM-exception", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Unlicense", "ZPL-2.1", "Zlib"),
}
# File by file or by dynamic linking: used unchanged, as published, and replaceable by whoever has our program.
WEAK_COPYLEFT = {
    *("certifi", "hypothesis", "orjson", "pathspec", "tqdm"),  # MPL-2.0
    *("psycopg", "psycopg-binary", "psycopg-pool"),  # LGPL-3.0, only imported
}
EXCEPTIONS = {
    "text-unidecode": "Artistic License or GPL, of which we choose the first; Airflow's slugs need it",
    "venusian": "Repoze Public License, BSD-like with a clause on trademarks; Faust needs it",
}
NVIDIA = re.compile(r"nvidia-|cuda-")
"""Proprietary, free to use and to redistribute as libraries of an application: what torch and ONNX Runtime call."""
WORDS = {
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}
# A requirement that is broken on purpose: (package, what it asks for).
OVERRIDDEN = {("nvidia-pytriton", "numpy")}


def locked() -> dict[str, str]:
    """Name and version of every pin."""
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE))


def installed() -> dict[str, importlib.metadata.Distribution]:
    found = {canonicalize_name(one.metadata["Name"]): one for one in importlib.metadata.distributions()}
    return {name: one for name, one in found.items() if name not in NOT_LOCKED}


APPROVALS = {"OSI Approved", "DFSG approved"}
"""Classifiers that say who finds a licence free, and not which it is."""


def licences_of(package: importlib.metadata.Distribution) -> str:
    """Its licence expression, else those of its classifiers, else the name that it gives."""
    about = package.metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    classified = [
        line.rsplit(" :: ", 1)[1] for line in about.get_all("Classifier") or [] if line.startswith("License ::")
    ]
    return " AND ".join(one for one in classified if one not in APPROVALS) or (about.get("License") or "").strip()


def parts_of(licences: str) -> set[str]:
    """The identifiers of an expression; names in words are put into identifiers."""
    parts = re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", WORDS.get(licences.lower(), licences))
    return {WORDS.get(part.strip().lower(), part.strip()) for part in parts if part.strip()}


def test_every_pin_has_a_digest_and_names_no_address() -> None:
    text = LOCK.read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    without = [block.split()[0] for block in blocks if not re.search(r"--hash=sha256:[0-9a-f]{64}", block)]
    assert without == []
    assert len(blocks) == len(locked()) > 200
    assert not re.search(r"https?://|--index|--extra-index|--find-links|git\+|file:", text)


def test_what_is_installed_is_what_is_locked() -> None:
    wanted, found = locked(), {name: one.version for name, one in installed().items()}
    environment = default_environment()
    conditional = {
        canonicalize_name(match[1])
        for match in re.finditer(r"^([\w.-]+)==\S+ ; (.+?) \\$", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
        if not Requirement(f"{match[1]} ; {match[2]}").marker.evaluate(environment)
    }
    assert {name: version for name, version in wanted.items() if name not in conditional} == found


def test_every_direct_dependency_is_locked_at_a_version_that_it_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = locked()
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(pins[name], prereleases=True), requirement


def broken() -> Iterator[tuple[str, str]]:
    """Each requirement of a package that what is installed does not keep, as `pip check` finds them."""
    found = {canonicalize_name(one.metadata["Name"]): one for one in importlib.metadata.distributions()}
    for name, package in found.items():
        for text in package.requires or ():
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            other = found.get(canonicalize_name(requirement.name))
            if other is None or not requirement.specifier.contains(other.version, prereleases=True):
                yield name, canonicalize_name(requirement.name)


def test_every_requirement_of_every_package_is_kept_but_for_those_that_are_overridden() -> None:
    assert set(broken()) == OVERRIDDEN
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    assert {Requirement(one).name for one in tool["override-dependencies"]} == {name for _, name in OVERRIDDEN}


def test_every_licence_is_one_that_we_may_use() -> None:
    refused = {}
    for name, package in installed().items():
        parts = parts_of(licences_of(package))
        if name in WEAK_COPYLEFT or name in EXCEPTIONS or NVIDIA.match(name):
            continue
        if not parts or not parts <= PERMISSIVE:
            refused[name] = licences_of(package)
    assert refused == {}
    idle = {name for name in EXCEPTIONS.keys() | WEAK_COPYLEFT if name not in installed()}
    assert idle == set(), "exceptions that are not needed any more"


@pytest.mark.parametrize(
    ("licences", "parts"),
    [
        ("Apache-2.0 AND (MIT OR BSD-3-Clause)", {"Apache-2.0", "MIT", "BSD-3-Clause"}),
        ("Apache-2.0 WITH LLVM-exception", {"Apache-2.0", "LLVM-exception"}),
        ("MIT License AND Apache Software License", {"MIT", "Apache-2.0"}),
        ("GPL-3.0-only", {"GPL-3.0-only"}),
        ("", set()),
    ],
)
def test_an_expression_is_read_into_its_licences(licences: str, parts: set[str]) -> None:
    assert parts_of(licences) == parts
    assert (parts <= PERMISSIVE) == ("GPL" not in licences)


CLEAN = {"name": "a", "version": "1", "vulns": []}
HOLED = {"name": "b", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["2.1"]}, {"id": "X-2"}]}
UNKNOWN = {"name": "c", "version": "3", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "last"),
    [
        ([CLEAN], 0, "1 of 1 packages could be looked up, 0 vulnerabilities are known"),
        ([CLEAN, HOLED], 1, "2 of 2 packages could be looked up, 2 vulnerabilities are known"),
        ([UNKNOWN], 3, "NOT AUDITED: 1 packages, the first because: not found"),
        ([UNKNOWN, HOLED], 1, "NOT AUDITED: 1 packages, the first because: not found"),
        ([], 3, "0 of 0 packages could be looked up, 0 vulnerabilities are known"),
    ],
)
def test_an_audit_says_what_it_did_not_look_at(packages: list[dict[str, object]], code: int, last: str) -> None:
    lines, found = audit.verdict({"dependencies": packages})
    assert found == code
    assert lines[-1] == last
    assert lines[: 2 if HOLED in packages else 0] == (
        ["b 2: X-1, mended in 2.1", "b 2: X-2, mended in no version yet"] if HOLED in packages else []
    )
