"""The images: what a Dockerfile may not do, which packages each gets, and that the parts need no others."""

import re
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import util
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest

from tests.deploy.rendering import ROOT

IMAGES = ROOT / "deploy" / "images"
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What each command of the image imports when it runs, beside its own module.
ONLINE = (
    "streams.commands.worker",
    "streams.worker.assemble",
    "streams.worker.run",
    "streams.commands.ingest",
    "streams.ingest.bulk",
    "streams.ingest.recorder",
    "streams.commands.clerk",
    "streams.clerk.assemble",
    "streams.clerk.run",
    "streams.commands.topics",
    "streams.kafka.declaring",
    "policy.commands.court",
    "policy.docket.court.serve",
    "policy.publication.publish",
    "features.store",
    "features.definitions",
    "serving.commands",
    "serving.triton.embedded",
    "warehouse.commands",
    "warehouse.migrate",
)


def load(name: str) -> ModuleType:
    spec = util.spec_from_file_location(name, IMAGES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lock, live = load("lock"), load("live")


@pytest.mark.parametrize("image", sorted(lock.GROUPS))
def test_an_image_has_the_packages_of_its_groups_and_what_those_need(image: str) -> None:
    listed = lock.read_names(IMAGES / f"{image}.packages")
    assert listed == lock.names_of(image, PROJECT), f"write it anew: python deploy/images/lock.py names {image}"


@pytest.mark.parametrize("image", sorted(lock.GROUPS))
def test_what_is_cut_from_the_lock_is_pinned_by_version_and_hash(image: str) -> None:
    names = lock.read_names(IMAGES / f"{image}.packages")
    cut = lock.cut(LOCK, names)
    blocks = dict(lock.blocks_of(cut))
    assert list(blocks) == names
    assert all(block in LOCK and "--hash=sha256:" in block for block in blocks.values())


def test_a_cut_keeps_a_package_with_all_its_lines_and_no_other() -> None:
    a, b_c, d = "a==1 \\\n    --hash=1 \\\n    --hash=2\n", "B_c==2 \\\n    --hash=3\n", "d==3 \\\n    --hash=4\n"
    assert lock.cut(a + b_c + d, ["a", "d"]) == a + d
    assert lock.cut(a + b_c + d, ["b-c"]) == b_c


def test_a_package_that_the_lock_lacks_is_named() -> None:
    with pytest.raises(lock.LockError, match="tokenizers is not in the lock"):
        lock.cut("a==1 \\\n    --hash=sha256:1\n", ["a", "tokenizers"])


def test_the_online_parts_import_no_package_that_their_image_lacks() -> None:
    """In a process to which every package that is not in the image is as if it were not installed."""
    listed = lock.read_names(IMAGES / "online.packages")
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_WITHOUT, ",".join(listed), *ONLINE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    refused = subprocess.run(
        [sys.executable, "-c", _IMPORT_WITHOUT, ",".join(listed), "torch"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "torch is not in the image" in refused.stderr


_IMPORT_WITHOUT = """
import importlib, re, sys, sysconfig
from importlib.abc import MetaPathFinder
from pathlib import Path
listed, site = set(sys.argv[1].split(",")), Path(sysconfig.get_path("purelib"))
canonical = lambda name: re.sub(r"[-_.]+", "-", name).lower()
def tops(installed):
    lines = (installed / "RECORD").read_text(encoding="utf-8").splitlines()
    return {re.split(r"[/.,]", line)[0] for line in lines}
allowed = set().union(*(
    tops(installed)
    for installed in site.glob("*.dist-info")
    if canonical(installed.name.partition("-")[0]) in listed
))
there = {entry.name.partition(".")[0] for entry in site.iterdir()} - allowed - sys.stdlib_module_names
class Image(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in there:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)
        return None
sys.meta_path.insert(0, Image())
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


def instructions(path: Path) -> list[tuple[str, str]]:
    """Each instruction of a Dockerfile with what it says, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.strip() for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line.strip()]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_images_run_as_a_user_without_rights_from_pinned_bases_and_hold_no_secret() -> None:
    said = instructions(IMAGES / "Dockerfile")
    known = {"ARG", "FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "HEALTHCHECK", "ENTRYPOINT"}
    assert {word for word, _ in said} <= known
    stages = [rest for word, rest in said if word == "FROM"]
    names = [stage.split(" AS ")[1] for stage in stages]
    assert names == ["packages", "parts", "airflow", "online"]
    bases = {stage.split(" AS ")[0] for stage in stages}
    assert bases == {"${PYTHON_IMAGE}", "parts"}
    (python,) = [rest for word, rest in said if word == "ARG" and rest.startswith("PYTHON_IMAGE=")]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11\.\d+-slim-bookworm", python)
    assert [rest for word, rest in said if word == "USER"] == ["10001:10001"]
    last_run = max(i for i, (word, _) in enumerate(said) if word == "RUN")
    assert said.index(("USER", "10001:10001")) > last_run, "nothing is installed as the user who runs"
    for word, rest in said:
        assert not re.search(r"(?i)password|secret|token|api_key", rest), (word, rest)
    assert "--require-hashes" in next(rest for word, rest in said if "uv pip sync" in rest)


def test_every_file_that_the_images_copy_is_sent_to_the_builder() -> None:
    kept = [
        line[1:]
        for line in (IMAGES / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    ]
    for pattern in kept:
        assert list(ROOT.glob(pattern)), pattern
    rooms = set(PROJECT_ROOMS)
    assert rooms <= set(kept)
    assert {"cli.py", "requirements.lock", "deploy/images/lock.py", "deploy/images/*.packages"} <= set(kept)


PROJECT_ROOMS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"][
    "targets"
]["wheel"]["only-include"]


@contextmanager
def answering(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/live"
        server.shutdown()


@pytest.mark.parametrize(("status", "lives"), [(200, True), (401, True), (404, True), (500, False), (503, False)])
def test_a_health_check_passes_what_answers_and_is_not_broken(status: int, lives: bool) -> None:
    with answering(status) as url:
        assert live.lives(url) is lives
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=2)
    assert live.lives(url) is False, "nobody is there any more"
