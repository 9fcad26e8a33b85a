"""Several processes at one docket: one ruling wins, and a kill in the middle of one leaves none of it."""

import signal
import subprocess
import sys
from pathlib import Path

from policy.docket.docket import Docket
from tests.policy.docket.cases import ANN, FRAUD, NOW, new_case, ruling

RULES_AT_ONCE = """
import sys
from pathlib import Path
from contracts.taxonomy import Category
from policy.docket.docket import Docket
from policy.docket.principals import Principal, Role
from policy.docket.rules import RulingRefusedError
from tests.policy.docket.cases import ruling

judge = Principal(sys.argv[2], Role.REVIEWER)
docket = Docket(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    try:
        docket.rule(ruling(f"c-{number}", Category(sys.argv[3]), judge, video=f"v-{number}"), judge)
        print("won", flush=True)
    except RulingRefusedError as error:
        print(error, flush=True)
"""
STOPS_HALF_WAY = """
import os, signal, sys
from pathlib import Path
from policy.docket.docket import Docket
from policy.docket.register import audit
from tests.policy.docket.cases import ANN, FRAUD, ruling

append = audit.append
def killed(*args, **kwargs):
    append(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
audit.append = killed
Docket(Path(sys.argv[1])).rule(ruling("c-1", FRAUD), ANN)
"""


def test_of_two_processes_that_rule_on_a_case_exactly_one_wins(tmp_path: Path) -> None:
    docket = Docket(tmp_path)
    docket.enter([new_case(f"c-{number}", video=f"v-{number}", shade=None) for number in range(20)], now=NOW)
    judges = [
        subprocess.Popen(
            [sys.executable, "-c", RULES_AT_ONCE, str(tmp_path), name, category],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, category in (("ann", "positive"), ("bob", "plagiarism"))
    ]
    for judge in judges:
        assert judge.stdout is not None
        assert judge.stdout.readline() == "ready\n"
    for judge in judges:
        assert judge.stdin is not None
        judge.stdin.write("go\n")
        judge.stdin.flush()
    said = [judge.communicate(timeout=60)[0].splitlines() for judge in judges]
    for number, (first, second) in enumerate(zip(*said, strict=True)):
        assert (first == "won") != (second == "won")
        lost = second if first == "won" else first
        assert lost.startswith(f"video v-{number} is ruled ")
    assert len(docket.decided()) == 20
    docket.verify_audit()


def test_a_kill_in_the_middle_of_a_ruling_leaves_nothing_of_it(tmp_path: Path) -> None:
    docket = Docket(tmp_path)
    docket.enter([new_case("c-1")], now=NOW)
    killed = subprocess.run([sys.executable, "-c", STOPS_HALF_WAY, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert docket.file("c-1").ruling is None
    assert [entry.action for entry in docket.audit()] == ["open"]
    assert docket.rule(ruling("c-1", FRAUD), ANN).ruling is not None
    docket.verify_audit()
