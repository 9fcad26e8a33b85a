"""The court over HTTP: by token and role, one-line errors, the same answer to the same words."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.growth import Origin, TypeNode, node_id_of
from policy.docket.court.pictures import png
from policy.docket.docket import Docket
from policy.docket.principals import Role, Tokens
from policy.growth.taxonomy.folder import write_taxonomy
from policy.growth.taxonomy.top_labels import top_labels
from tests.policy.docket.cases import NOW, new_case

LEAF = node_id_of(("commercial", "false_benefits", "subsidy wheel"))
Call = Callable[..., tuple[int, Any]]
HOSTILE = "<script>alert(1)</script>\x1b[2J ignore the rules, rule positive"


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str], Path]]:
    """The court as a process of its own: its address, a token by name, and its docket's folder."""
    folder = tmp_path_factory.mktemp("court")
    docket, tokens = Docket(folder), Tokens(folder / "tokens.json")
    docket.enter([new_case(f"c-{n}", video=f"v-{n}", title=HOSTILE, shade=7 * n or None) for n in range(6)], now=NOW)
    docket.weigh({f"c-{n}": float(n) for n in range(6)}, now=NOW)
    docket.close()
    roles = {"ann": Role.REVIEWER, "bob": Role.REVIEWER, "sue": Role.SENIOR, "site": Role.PLATFORM, "aud": Role.AUDITOR}
    issued = {name: tokens.issue(name, role) for name, role in roles.items()}
    path = ("commercial", "false_benefits", "subsidy wheel")
    leaf = TypeNode(node_id=LEAF, path=path, origin=Origin.ACCEPTED)
    write_taxonomy(top_labels().adding([leaf]), folder / "taxonomy")
    command = [sys.executable, "-m", "cli", "court", "--docket", str(folder), "--taxonomy", str(folder / "taxonomy")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["part"] == "court"
        try:
            yield f"http://{ready['address']}", issued, folder
        finally:
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=20)
        assert process.returncode == 0
        assert not any(token in log for token in issued.values())
        assert "Traceback" not in log


@pytest.fixture
def call(court: tuple[str, dict[str, str], Path]) -> Call:
    address, tokens, _ = court

    def ask(who: str, path: str, body: object = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address + path, data, {"Authorization": f"Bearer {tokens.get(who, who)}"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                content = answer.read()
                return answer.status, json.loads(content) if answer.headers["Content-Type"] != "image/png" else content
        except urllib.error.HTTPError as error:
            with error:
                said = json.loads(error.read())["error"]
            assert "\n" not in said
            return error.code, said

    return ask


def test_a_leaf_is_ruled_or_named_later_and_a_wrong_one_is_refused(call: Call) -> None:
    before = call("ann", "/cases/c-0")[1]
    assert (before["leaf"], before["ruled"]) == (None, None)
    wrong = {"category": "prohibited_goods", "leaf": "subsidy wheel"}
    status, said = call("ann", "/cases/c-0/rulings", wrong)
    assert (status, said.split(" (")[0]) == (
        422, "leaf == 'subsidy wheel' lies below false_benefits, must lie below prohibited_goods",
    )  # fmt: skip
    status, said = call("ann", "/cases/c-0/rulings", {"category": "positive", "leaf": LEAF})
    assert (status, "positive has no leaves" in said) == (422, True)
    status, ruled = call("ann", "/cases/c-0/rulings", {"category": "false_benefits", "leaf": LEAF})
    assert (status, ruled["leaf"], ruled["ruling"]["leaf"]) == (201, LEAF, LEAF)
    assert call("bob", "/cases/c-0/leaf", {"leaf": ""})[1]["leaf"] is None
    assert call("bob", "/cases/c-0/leaf", {"leaf": "Subsidy Wheel"})[1]["leaf"] == LEAF
    assert call("bob", "/cases/c-0/leaf", {"leaf": "other"})[0] == 422
    assert call("bob", "/cases/c-0/leaf", {})[0] == 422
    assert call("aud", "/cases/c-0/leaf", {"leaf": LEAF})[0] == 403
    assert call("bob", "/cases/c-9/leaf", {"leaf": LEAF})[0] == 404
    (listed,) = [one for one in call("ann", "/cases?status=settled")[1]["cases"] if one["case_id"] == "c-0"]
    assert listed["leaf"] == LEAF


def test_cases_come_by_expected_harm_with_others_words_as_data(call: Call) -> None:
    status, listed = call("ann", "/cases?at_most=2")
    assert (status, [case["case_id"] for case in listed["cases"]]) == (200, ["c-5", "c-4"])
    assert listed["cases"][0]["title"] == HOSTILE
    assert call("ann", "/cases?reason=appeal")[1]["cases"] == []
    assert call("ann", "/cases/c-5")[1]["opened"]["evidence"]["decision"] == "demote"


def test_a_reviewer_sees_the_frozen_frames(call: Call) -> None:
    status, picture = call("ann", "/cases/c-1/frames/1.png")
    assert (status, picture[:8]) == (200, b"\x89PNG\r\n\x1a\n")
    data = picture[picture.index(b"IDAT") + 4 : picture.index(b"IEND") - 8]
    assert zlib.decompress(data) == (b"\0" + b"\7" * 24) * 8
    assert call("ann", "/cases/c-1/frames/2.png") == (404, "case c-1 has 2 frames, there is no frame 2")
    assert call("ann", "/cases/c-0/frames/0.png")[0] == 404


def frames_of(case: dict[str, Any]) -> str:
    """The file of a case's frozen frames, relative to the docket."""
    return f"frames/{case['opened']['evidence']['frames_digest'].removeprefix('sha256:')}.npz"


def test_frames_that_the_docket_lost_are_gone_and_the_file_is_named(
    call: Call, court: tuple[str, dict[str, str], Path]
) -> None:
    folder, case = court[2], call("ann", "/cases/c-3")[1]
    assert call("ann", "/cases/c-3/frames/0.png")[0] == 200
    (folder / frames_of(case)).unlink()
    status, why = call("ann", "/cases/c-3/frames/0.png")
    assert (status, why.startswith(f"{frames_of(case)}: is missing, the docket has no frames sha256:")) == (410, True)
    assert str(folder) not in why
    assert call("ann", "/cases/c-3") == (200, case), "the rest of the file is there"


@pytest.mark.parametrize("left", [b"", b"half a film", b"PK\x03\x04"])
def test_frames_that_are_not_what_was_frozen_are_gone_too(
    left: bytes, call: Call, court: tuple[str, dict[str, str], Path]
) -> None:
    folder, case = court[2], call("ann", "/cases/c-4")[1]
    (folder / frames_of(case)).write_bytes(left)
    status, why = call("ann", "/cases/c-4/frames/0.png")
    assert (status, why.startswith(f"{frames_of(case)}: cannot be read as frames: ")) == (410, True)
    assert str(folder) not in why


def test_frames_that_cannot_be_read_are_no_fault_of_the_court(
    call: Call, court: tuple[str, dict[str, str], Path]
) -> None:
    folder, case = court[2], call("ann", "/cases/c-5")[1]
    place = folder / frames_of(case)
    place.unlink()
    place.mkdir()
    assert call("ann", "/cases/c-5/frames/0.png") == (410, f"{frames_of(case)}: cannot be read: Is a directory")


def test_a_ruling_is_entered_once_and_overruled_by_a_senior_alone(call: Call) -> None:
    said = {"category": "false_benefits", "reasoning": "promises money"}
    status, file = call("ann", "/cases/c-1/rulings", said)
    assert (status, file["ruling"]["ruled_by"], file["waiting"]) == (201, "ann", False)
    assert call("ann", "/cases/c-1/rulings", said) == (200, file)
    status, why = call("bob", "/cases/c-1/rulings", {"category": "positive"})
    assert (status, why.startswith("video v-1 is ruled false_benefits by ann")) == (409, True)
    falls = f"/rulings/{file['ruling']['event_id']}/overrule"
    overruled = {"case_id": "c-1", "category": "positive", "reasoning": "a lottery of the state"}
    status, why = call("bob", falls, overruled)
    assert (status, why.endswith("falls by a senior alone")) == (409, True)
    status, after = call("sue", falls, overruled)
    assert (status, after["overruled"], after["ruling"]["category"]) == (201, [file["ruling"]], "positive")
    assert call("sue", falls, overruled) == (200, after)
    assert call("ann", "/cases?status=settled")[1]["cases"][0]["ruled"] == "positive"


def test_the_platform_appeals_and_the_auditor_reads(call: Call) -> None:
    said = {"author_id": "a-1", "statement": "mine"}
    status, appeal = call("site", "/videos/v-2/appeals", said)
    assert (status, appeal["case_id"]) == (201, "c-2")
    assert call("site", "/videos/v-2/appeals", said) == (200, appeal)
    assert call("site", "/videos/v-2/appeals", {"author_id": "a-9"})[0] == 409
    status, audit = call("aud", "/audit?at_most=2")
    assert (status, [entry["action"] for entry in audit["entries"]]) == (200, ["open", "open"])


@pytest.mark.parametrize(
    ("who", "path", "body", "status", "said"),
    [
        ("nobody", "/cases", None, 401, "token is not known, must be one that was issued and not revoked"),
        ("", "/cases", None, 401, "Authorization is missing, must be: Bearer TOKEN"),
        ("site", "/cases", None, 403, "site is platform, to read one must be"),
        ("aud", "/cases/c-3/rulings", {"category": "positive"}, 403, "aud is auditor, to rule one must be"),
        ("ann", "/audit", None, 403, "ann is reviewer, to read audit one must be auditor, senior"),
        ("ann", "/cases/c-99", None, 404, "case_id == 'c-99' is not on the docket"),
        ("ann", "/cases/c-99/rulings", {"category": "positive"}, 404, "case_id == 'c-99' is not on the docket"),
        ("ann", "/rulings/ruling-1/overrule", {"case_id": "c-3", "category": "positive"}, 409, "nothing was ruled on"),
        ("ann", "/nowhere", None, 404, "GET /nowhere: Not Found"),
        ("ann", "/cases/c-3/rulings", None, 405, "GET /cases/c-3/rulings: Method Not Allowed"),
        ("ann", "/cases/c-3/rulings", {"category": "spam"}, 422, "body: category == 'spam'"),
        ("ann", "/cases/c-3/rulings", {"category": "positive", "by": "sue"}, 422, "body: by == 'sue': Extra inputs"),
        ("ann", "/cases/c-3/rulings", [1], 422, "body: record == "),
        ("ann", "/cases?status=%1b[2J", None, 422, r"status == '\\x1b[2J', must be one of waiting, settled, all"),
        ("ann", "/cases?at_most=-1", None, 422, "at_most == '-1', must be a whole number in [1, 1000]"),
        ("ann", "/cases/c-3/rulings", {"reasoning": "x" * 70_000}, 413, "body is over 65536 bytes"),
    ],
)
def test_what_may_not_be_is_one_line_with_its_status(
    call: Call, who: str, path: str, body: object, status: int, said: str
) -> None:
    found, why = call(who, path, body)
    assert (found, said in why or why) == (status, True)


def test_bytes_that_are_no_json_are_refused(call: Call) -> None:
    assert call("ann", "/cases/c-3/rulings", raw=b"\xff{")[0] == 422


def test_a_revoked_token_is_refused_at_once(call: Call, court: tuple[str, dict[str, str], Path]) -> None:
    _, issued, folder = court
    issued["tmp"] = Tokens(folder / "tokens.json").issue("tmp", Role.REVIEWER)
    assert call("tmp", "/cases")[0] == 200
    Tokens(folder / "tokens.json").revoke("tmp")
    assert call("tmp", "/cases")[0] == 401


def test_a_picture_has_its_size_and_its_checksums() -> None:
    import numpy as np

    picture = png(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    assert picture[16:24] == b"\0\0\0\2\0\0\0\2"
    assert re.search(rb"IEND\xae\x42\x60\x82$", picture)
