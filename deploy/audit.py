"""The lock file in, known vulnerabilities of what it pins out: by pip-audit, where advisories can be reached.

pip-audit passes over a package that its source of advisories does not know, and then says that nothing was found. Here
what was passed over is counted and said first: an audit of nothing is no audit. Exit code 1: a vulnerability, 3: not
every package could be looked up, 0: all were, and none has one.

    python deploy/audit.py [UV]
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements.lock"
WITHIN_S = 600.0


def findings(report: Mapping[str, Any]) -> Iterator[str]:
    """A line for each vulnerability of pip-audit's report."""
    for package in report["dependencies"]:
        for found in package.get("vulns", ()):
            mended = ", ".join(found.get("fix_versions") or ()) or "no version yet"
            yield f"{package['name']} {package['version']}: {found['id']}, mended in {mended}"


def verdict(report: Mapping[str, Any]) -> tuple[list[str], int]:
    """What to print of a report, and the exit code."""
    packages = report["dependencies"]
    skipped = [package for package in packages if "skip_reason" in package]
    lines = list(findings(report))
    known = len(packages) - len(skipped)
    lines.append(f"{known} of {len(packages)} packages could be looked up, {len(lines)} vulnerabilities are known")
    if skipped:
        lines.append(f"NOT AUDITED: {len(skipped)} packages, the first because: {skipped[0]['skip_reason']}")
    return lines, 1 if len(lines) > 1 + bool(skipped) else 3 if skipped or not packages else 0


def main(uv: str) -> int:
    """Run pip-audit in an environment of its own and print what it found and what it did not look at."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "audit.json"
        tool = [uv, "tool", "run", "--from", "pip-audit", "pip-audit"]
        what = ["-r", str(LOCK), "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
        try:
            done = subprocess.run(
                [*tool, *what, "-f", "json", "-o", str(out)],
                capture_output=True,
                text=True,
                timeout=WITHIN_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"NOT AUDITED: pip-audit does not run: {error}")  # noqa: T201 - what this is for
            return 3
        if not out.exists():
            print(f"NOT AUDITED: {(done.stderr.strip().splitlines() or ['pip-audit says nothing'])[-1]}")  # noqa: T201
            return 3
        lines, code = verdict(json.loads(out.read_text(encoding="utf-8")))
    print("\n".join(lines))  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "uv"))
