"""`precedent taxonomy strike | questions | referee | export` as they are typed, against endpoints over real HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from contracts.errors import BadInputError, CheckFailedError, DependencyError
from policy.growth.commands import taxonomy
from policy.growth.parts import alone_in, parts_of, totals
from policy.growth.taxonomy.folder import write_taxonomy
from tests.policy.growth.calls.saying import files_of
from tests.policy.growth.samples.home import ID, TYPES, write_matches

NAMES = list(ID)


def matched(home: Path, n: int = 60, part: int = 20) -> Path:
    """Pictures with three types each, and the taxonomy that they are of beside them."""
    near = {number: [NAMES[(number + i) % len(NAMES)] for i in range(3)] for number in range(n)}
    write_taxonomy(TYPES, home.parent / "taxonomy")
    return write_matches(home, *({k: near[k] for k in range(i, min(i + part, n))} for i in range(0, n, part)))


def typed(step: str, home: Path, *more: object) -> list[str]:
    return [step, str(home), "--taxonomy", str(home.parent / "taxonomy"), *map(str, more)]


def run(*words: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(taxonomy, words, env=env, catch_exceptions=False)


@pytest.fixture(scope="module")
def at() -> Iterator[str]:
    """The endpoint of the benches, in a process of its own, which takes a while for each answer."""
    words = [sys.executable, "-m", "bench.growth.endpoint", "--delay-ms", "25"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().removeprefix("ready ").strip()
        process.stdin.close()


def counts(at: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{at}/counts") as told:
        found: dict[str, int] = json.loads(told.read())
    return found


def told(step: str, folder: Path) -> str:
    """What a step must say that it did, by its folder: a pattern."""
    found = totals(folder)
    most_first = sorted(found.dropped.items(), key=lambda one: -one[1])
    reasons = "".join(rf"(  {times} dropped: {reason}\n)" for reason, times in most_first)
    return (
        rf"{step}: {found.kept} kept, {sum(found.dropped.values())} dropped\n{reasons}"
        r"  (?P<n>\d+) answers now, (?P=n) in all, \d+ \+ \d+ tokens, cost 0\.0000\n"
    )


def test_matched_pictures_become_instruction_data_step_by_step(at: str, tmp_path: Path) -> None:
    home, out = matched(tmp_path / "home"), tmp_path / "out"
    llm = ("--llm", f"{at}/llm/v1", "--parallel", "8")
    judges = [f"--referee={at}/referee-{number}/v1" for number in (1, 2, 3)]
    done = run(*typed("strike", home, *llm)).output
    assert re.fullmatch(told("strike", home / "struck"), done)
    done = run(*typed("questions", home, *llm, "--types", "2")).output
    assert re.fullmatch(told("questions", home / "questions"), done)
    done = run(*typed("referee", home, *judges, "--parallel", "8")).output
    agreed = r"agreement of the referees, Fleiss' kappa: (?P<kappa>\S+) \((?P<all>\d+) samples that all three scored\)"
    match = re.fullmatch(told("referee", home / "judged") + agreed + "\n", done)
    assert match is not None
    judged = totals(home / "judged")
    assert 0.0 < float(match["kappa"]) < 1.0
    assert 0 < int(match["all"]) <= judged.n_in
    done = run("export", str(home), "--out", str(out)).output
    samples = json.loads((out / "conversations.json").read_bytes())
    assert len(samples) == judged.kept
    assert done == f"{judged.kept} samples of {len({one['image'] for one in samples})} pictures in {out}\n"


def test_a_run_that_is_killed_and_interrupted_goes_on_to_the_same_bytes_and_pays_for_what_was_under_way_alone(
    at: str, tmp_path: Path
) -> None:
    n, parallel, stops = 120, 4, ((15, signal.SIGKILL), (35, signal.SIGKILL), (55, signal.SIGINT))
    killed, whole = matched(tmp_path / "killed", n, part=40), matched(tmp_path / "whole", n, part=40)
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import cli; cli.main()"
    asked = ("--llm", f"{at}/killed/v1", "--parallel", parallel)
    command = [sys.executable, "-c", heard, "taxonomy", *typed("strike", killed, *asked)]
    begun = counts(at)
    for stop_at, how in stops:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            while counts(at)["calls"] - begun["calls"] < stop_at and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(how)
            _, said = process.communicate()
        expected = (-how, "") if how == signal.SIGKILL else (130, "\nprecedent: interrupted\n")
        assert (process.returncode, said) == expected
    assert len(parts_of(killed / "struck")) < 3
    assert " in all, " in run(*typed("strike", killed, *asked)).output
    ended = counts(at)
    last = run(*typed("strike", whole, *asked)).output.splitlines()[-1]
    assert last.startswith(f"  {n} answers now, {n} in all, "), "none is asked for twice since it is of no use"
    assert files_of(killed / "struck") == files_of(whole / "struck")
    assert ended["calls"] - begun["calls"] - n == ended["again"] - begun["again"] <= len(stops) * parallel


def test_a_budget_that_is_spent_is_told_and_the_same_goes_on_with_more(at: str, tmp_path: Path) -> None:
    home, begun = matched(tmp_path / "home", n=12, part=4), counts(at)["calls"]
    words = typed("strike", home, "--llm", f"{at}/budget/v1", "--parallel", "1")
    with pytest.raises(CheckFailedError, match=r"struck: budget of 200 tokens: \d+ are spent, 3 parts are left"):
        run(*words, "--budget-tokens", "200")
    with pytest.raises(CheckFailedError, match=r"struck: budget of 0\.0010: 0\.00\d\d is spent, \d parts are left"):
        run(*words, "--budget", "0.001", "--price", "1", "2")
    paid = counts(at)["calls"] - begun
    assert 1 < paid < 12
    assert run(*words).output.splitlines()[-1].startswith(f"  {12 - paid} answers now, 12 in all, ")


def test_an_endpoint_that_is_away_is_no_error_of_the_input(tmp_path: Path) -> None:
    home = matched(tmp_path / "home", n=4, part=4)
    with pytest.raises(DependencyError, match=r"does not answer in 0\.3 s: .*; 1 of 1 parts of strike are left"):
        run(*typed("strike", home, "--llm", "http://127.0.0.1:9/v1", "--timeout", "0.1"))


def test_a_step_before_its_time_in_another_taxonomy_or_beside_another_run_is_refused(at: str, tmp_path: Path) -> None:
    home, llm = matched(tmp_path / "home", n=4, part=4), ("--llm", f"{at}/llm/v1")
    with pytest.raises(BadInputError, match="struck: holds no part, the step before has not run"):
        run(*typed("questions", home, *llm))
    with pytest.raises(BadInputError, match="matches: holds no part, the step before has not run"):
        run(*typed("strike", tmp_path / "hmoe", *llm))
    assert not (tmp_path / "hmoe").exists()
    with pytest.raises(BadInputError, match="judged: holds no part, `precedent taxonomy referee` makes them"):
        run("export", str(home), "--out", str(tmp_path / "out"))
    run(*typed("strike", home, *llm))
    with pytest.raises(BadInputError, match=r"part-00000\.parquet: plan == .* made with other settings"):
        run(*typed("strike", home, *llm, "--model", "another"))
    with alone_in(home), pytest.raises(BadInputError, match="another run works in it"):
        run(*typed("strike", home, *llm))
    write_taxonomy(type(TYPES)(TYPES.nodes[:1]), tmp_path / "taxonomy")
    with pytest.raises(BadInputError, match="must be of a type of the taxonomy"):
        run(*typed("questions", home, *llm))


def test_an_export_before_all_is_judged_says_so(at: str, tmp_path: Path) -> None:
    home, llm = matched(tmp_path / "home", n=12, part=4), ("--llm", f"{at}/llm/v1")
    judges = [f"--referee={at}/referee-{number}/v1" for number in (1, 2, 3)]
    run(*typed("strike", home, *llm))
    run(*typed("questions", home, *llm))
    with pytest.raises(CheckFailedError, match=r"judged: budget of 2,500 tokens: 2,\d+ are spent, 2 parts are left"):
        run(*typed("referee", home, *judges, "--parallel", 1, "--budget-tokens", 2_500))
    done = run("export", str(home), "--out", str(tmp_path / "out")).output
    assert re.fullmatch(r"\d+ samples of \d+ pictures in \S+, 2 parts are not judged yet\n", done)


@pytest.mark.parametrize(
    ("referees", "models", "said"),
    [
        (2, 0, "2 --referee and 0 --model, must be 3 and at most as many"),
        (4, 0, "4 --referee and 0 --model"),
        (3, 4, "3 --referee and 4 --model"),
    ],
)
def test_a_referee_more_or_less_is_refused(tmp_path: Path, referees: int, models: int, said: str) -> None:
    home = matched(tmp_path / "home", n=1, part=1)
    words = [f"--referee=http://127.0.0.1:{number}/v1" for number in range(1, referees + 1)]
    with pytest.raises(BadInputError, match=said):
        run(*typed("referee", home, *words, *(f"--model={number}" for number in range(models))))
    with pytest.raises(BadInputError, match="the same model at the same address"):
        run(*typed("referee", home, *["--referee=http://127.0.0.1:1/v1"] * 3, "--model=a", "--model=b", "--model=a"))


@contextmanager
def keyed() -> Iterator[tuple[str, dict[str, str | None]]]:
    """An endpoint that lets all pass, and which key each of its paths was sent."""
    keys: dict[str, str | None] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            keys[self.path.split("/")[1]] = self.headers.get("Authorization")
            body = json.dumps({"choices": [{"message": {"content": '{"strike": [2, 3]}'}}]})
            if "referee" in self.path:
                body = json.dumps({"choices": [{"message": {"content": '{"scores": [1]}'}}]})
            if "writer" in self.path:
                sample = {"samples": [{"type": 1, "question": "What?", "answer": "That."}]}
                body = json.dumps({"choices": [{"message": {"content": json.dumps(sample)}}]})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", keys
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_each_endpoint_is_sent_its_own_key_and_no_other(tmp_path: Path) -> None:
    home = matched(tmp_path / "home", n=1, part=1)
    env = {"PRECEDENT_LLM_KEY": "llm-key", "PRECEDENT_REFEREE_1_KEY": "one-key", "PRECEDENT_REFEREE_3_KEY": "three-key"}
    with keyed() as (url, keys):
        run(*typed("strike", home, "--llm", f"{url}/llm/v1"), env=env)
        run(*typed("questions", home, "--llm", f"{url}/writer/v1"), env=env)
        done = run(*typed("referee", home, *(f"--referee={url}/referee-{n}/v1" for n in (1, 2, 3))), env=env)
    assert keys == {
        "llm": "Bearer llm-key",
        "writer": "Bearer llm-key",
        "referee-1": "Bearer one-key",
        "referee-2": None,
        "referee-3": "Bearer three-key",
    }
    assert done.output == (
        "referee: 1 kept, 0 dropped\n"
        "  3 answers now, 3 in all, 0 + 0 tokens, cost 0.0000\n"
        "agreement of the referees, Fleiss' kappa: not defined, all scores are alike "
        "(1 samples that all three scored)\n"
    )
    kept = "".join(path.read_bytes().decode("latin-1") for path in home.rglob("*") if path.is_file())
    assert "-key" not in kept
    assert os.environ.get("PRECEDENT_LLM_KEY") is None
