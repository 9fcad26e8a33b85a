"""requirements.lock in, the part of it that one image installs out: the same versions, the same hashes, fewer packages.

    lock.py cut IMAGE.packages requirements.lock     the lines of the lock for these packages; needs nothing but Python
    lock.py names IMAGE                              which packages an image needs; needs the whole environment

`cut` runs where an image is built. `names` writes IMAGE.packages when pyproject.toml or the lock has changed; a test
says when that is due. What a package needs is read from its own metadata, so nothing is resolved anew.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
GROUPS: Mapping[str, tuple[str, ...]] = {
    # Worker, sink, recorder, clerk, court, the follower of Triton's models, and the jobs.
    "online": ("court", "tracing"),
    # The same, and what the DAGs train and analyse with. CUDA comes along: torch is the index's build.
    "airflow": ("court", "tracing", "train", "analysis", "dags"),
}
ALONE: Mapping[str, tuple[str, ...]] = {
    "online": ("onnx",),  # reads what a model takes and gives, before Triton is told
    "airflow": (),
}
_NAME = re.compile(r"([A-Za-z0-9._-]+)==")


class LockError(Exception):
    """The lock lacks a package, or is no lock; one line says which."""


def cut(lock: str, names: Sequence[str]) -> str:
    """The requirements of these names, each with all of its hashes; raises `LockError` for one that is not there."""
    blocks = dict(blocks_of(lock))
    if missing := [name for name in names if name not in blocks]:
        raise LockError(f"{missing[0]} is not in the lock, write the list of packages anew (lock.py names)")
    return "".join(blocks[name] for name in names)


def blocks_of(lock: str) -> Iterator[tuple[str, str]]:
    """Each package of a lock with its lines: the pinned version, and the hashes on indented lines after it."""
    block, name = "", ""
    for line in lock.splitlines(keepends=True):
        if line.startswith((" ", "\t")):
            block += line
            continue
        if name:
            yield name, block
        found = _NAME.match(line)
        if found is None:
            raise LockError(f"{line.strip()!r} must be NAME==VERSION (requirements.lock)")
        block, name = line, canonical(found.group(1))
    if name:
        yield name, block


def canonical(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names_of(image: str, project: Mapping[str, object]) -> list[str]:
    """The packages that an image needs, sorted: its groups, and whatever those need on this platform."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    groups = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for group in GROUPS[image] for line in groups[group]), *ALONE[image]]  # type: ignore[misc, index]
    extras: dict[str, set[str]] = {}
    todo = [Requirement(line) for line in wanted]
    while todo:
        one = todo.pop()
        name, asked = canonical(one.name), {"", *one.extras}
        if not (new := asked - extras.get(name, set())):
            continue
        extras.setdefault(name, set()).update(new)
        for line in requires(name) or ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in new):
                todo.append(needed)
    return sorted(extras)


def read_names(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split()


def main(arguments: Sequence[str]) -> int:
    match arguments:
        case ["cut", packages, lock]:
            try:
                sys.stdout.write(cut(Path(lock).read_text(encoding="utf-8"), read_names(Path(packages))))
            except LockError as error:
                sys.stderr.write(f"lock.py: {error}\n")
                return 2
        case ["names", image] if image in GROUPS:
            project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            (HERE / f"{image}.packages").write_text("\n".join(names_of(image, project)) + "\n", encoding="utf-8")
        case _:
            sys.stderr.write(f"usage: {(__doc__ or '').splitlines()[2].strip()}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
