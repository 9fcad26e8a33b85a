"""The password that Airflow's starter is given as a file: kept where Airflow reads it, for its owner, and in no log."""

import json
import stat
from importlib import util
from pathlib import Path

import pytest

from tests.deploy.rendering import ROOT

spec = util.spec_from_file_location("standalone", ROOT / "deploy" / "airflow" / "standalone.py")
assert spec is not None
assert spec.loader is not None
standalone = util.module_from_spec(spec)
spec.loader.exec_module(standalone)


def test_a_given_password_replaces_the_one_before_and_is_its_owners_alone(tmp_path: Path) -> None:
    source = tmp_path / "airflow_password"
    source.write_text("of-the-first-week\n", encoding="utf-8")
    assert standalone.given_password(tmp_path, source) == "of-the-first-week"
    source.write_text("of-the-next-week", encoding="utf-8")
    standalone.given_password(tmp_path, source)
    kept = tmp_path / standalone.PASSWORDS
    assert json.loads(kept.read_text(encoding="utf-8")) == {"admin": "of-the-next-week"}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "short", "long enough it is\nbut of two lines"])
def test_a_file_that_holds_no_password_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    source = tmp_path / "airflow_password"
    source.write_text(text, encoding="utf-8")
    with pytest.raises(standalone.AirflowError, match="one line of at least 12 characters") as refused:
        standalone.given_password(tmp_path, source)
    assert not text or text not in str(refused.value)
    assert not (tmp_path / standalone.PASSWORDS).exists()
