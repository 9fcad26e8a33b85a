"""Certificates of the tests' own, made by openssl; a test that needs one is skipped where there is no openssl."""

import shutil
import subprocess
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def self_signed(folder: Path, subject: str, *, address: str = "") -> tuple[Path, Path]:
    """A certificate that signed itself, for two days and of this IP address, and its key; in a folder of its own."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder.mkdir()
    certificate, key = folder / "cert.pem", folder / "key.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    named = ["-subj", f"/CN={subject}", *(["-addext", f"subjectAltName=IP:{address}"] if address else [])]
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "2", *curve, *named, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return certificate, key
