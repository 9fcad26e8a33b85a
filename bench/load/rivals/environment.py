"""The project's interpreter in, one that has Quix Streams out: made once, in 130 MB, under .state/rivals.

Quix and what it pins stand before the project's own packages, which are seen through it; so both rivals and the
worker run the same code on the same versions, but for those in quix.txt.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from contracts.errors import DependencyError

REQUIREMENTS = Path(__file__).with_name("quix.txt")
LOCK = Path(__file__).parents[3] / "requirements.lock"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def quix_python(state: Path = Path(".state/rivals")) -> Path:
    """The interpreter's path; raises `DependencyError` with the installer's words where it cannot be made."""
    mark = hashlib.sha256(REQUIREMENTS.read_bytes() + LOCK.read_bytes() + sys.prefix.encode()).hexdigest()[:12]
    folder = state.absolute() / f"quix-{mark}"
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    constraints = state.absolute() / f"quix-{mark}.constraints"
    constraints.parent.mkdir(parents=True, exist_ok=True)
    constraints.write_text(_constraints(), encoding="utf-8")
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS), "-c", str(constraints)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
            raise DependencyError(f"no environment for Quix Streams: {last[0]}")
    packages = next((folder / "lib").glob("python3.*/site-packages"))
    (packages / "beneath.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    (folder / "ready").touch()
    return python


def _constraints() -> str:
    """The lock's versions of everything that quix.txt does not pin."""
    pinned = {name for name, _ in _PIN.findall(REQUIREMENTS.read_text(encoding="utf-8"))}
    locked = _PIN.findall(LOCK.read_text(encoding="utf-8"))
    return "".join(f"{name}=={version}\n" for name, version in locked if name not in pinned)
