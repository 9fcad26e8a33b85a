"""`precedent vlm teach` as it is typed: media that cannot be decoded, other plans, kills in the middle."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contracts.cases import DecidedCase
from contracts.errors import BadInputError, CheckFailedError
from policy.commands.vlm import vlm
from policy.reasoning.teaching.plan import Plan, folder_of
from policy.reasoning.teaching.rows import DROPPED, REASONINGS, REPORT, REVIEW
from simulation.uploads import Simulation, write_uploads
from tests.policy.reasoning.teaching.cases import case_of, cases_of
from tests.policy.reasoning.teaching.teacher import Teacher

OUTPUTS = (REASONINGS, REVIEW, DROPPED, REPORT)
TITLES = ["good", "bad [nonsense]", "told [told]", "swapped [swapped]", "quiet [unread]", "half [half]"]


def write(path: Path, cases: list[DecidedCase]) -> Path:
    path.write_text("".join(f"{case.model_dump_json()}\n" for case in cases))
    return path


def typed(teacher: Teacher, cases: Path, out: Path, *more: str) -> list[str]:
    return ["teach", "--cases", str(cases), "--out", str(out), "--teacher", teacher.url, "--model", "wise", *more]


def run(*words: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(vlm, words, env=env, catch_exceptions=False)


def test_it_tells_where_the_cases_went_and_what_they_cost(teacher: Teacher, tmp_path: Path) -> None:
    cases = write(tmp_path / "cases.jsonl", cases_of(TITLES))
    done = run(
        *typed(teacher, cases, tmp_path / "taught", "--disagreements", "review", "--price", "1", "10", "--tries", "2"),
        env={"PRECEDENT_TEACHER_KEY": "secret-key"},
    )
    assert done.output == (
        "6 cases: 1 kept (1 at the first try), 1 for review, 4 dropped, 0 had a reasoning, 0 left for later\n"
        "  dropped 3: no usable reasoning\n"
        "  dropped 1: no usable reading of the reasoning\n"
        "  unusable 4: <think> stands … times, must stand once\n"
        "  unusable 2: answers with something that is no chat completion\n"
        "  unusable 2: the reasoning tells that its ruling was given\n"
        "tag2cot: 9 answers, 700 + 140 tokens\n"
        "cot2tag: 4 answers, 40 + 8 tokens\n"
        "cost 0.0022\n"
    )
    assert set(teacher.keys) == {"Bearer secret-key"}
    assert "secret-key" not in "".join(path.read_text() for path in (tmp_path / "taught").iterdir() if path.is_file())


def test_the_teachers_key_is_sent_to_no_other_reader(teacher: Teacher, tmp_path: Path) -> None:
    cases = write(tmp_path / "cases.jsonl", cases_of(["good"]))
    reader = teacher.url.replace("127.0.0.1", "localhost")
    words = typed(teacher, cases, tmp_path / "taught", "--reader", reader, "--reader-model", "other")
    run(*words, env={"PRECEDENT_TEACHER_KEY": "secret-key"})
    assert teacher.keys == ["Bearer secret-key", None]
    assert [body["model"] for body in teacher.asked] == ["wise", "other"]


def test_media_that_is_missing_or_broken_is_left_out_with_its_reason_and_pictures_are_shown(
    teacher: Teacher, tmp_path: Path
) -> None:
    write_uploads(tmp_path / "clips", Simulation(1, 3, as_cases=False), workers=1)
    [clip] = (tmp_path / "clips" / "media").glob("*.mp4")
    broken = tmp_path / "clips" / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[:600])
    cases = [
        case_of("shown", "with pictures", media_url=clip.as_uri()),
        case_of("missing", "gone", media_url=(tmp_path / "clips" / "gone.mp4").as_uri()),
        case_of("broken", "cut", media_url=broken.as_uri()),
        case_of("outside", "elsewhere", media_url="file:///etc/hostname"),
        case_of("words", "words alone"),
    ]
    path = write(tmp_path / "cases.jsonl", cases)
    words = typed(teacher, path, tmp_path / "taught", "--media-root", str(tmp_path / "clips"), "--frames", "3")
    done = run(*words, "--frame-px", "32", "--timeout", "30")
    assert done.output.startswith("5 cases: 2 kept (2 at the first try), 0 for review, 3 dropped,")
    report = json.loads((tmp_path / "taught" / REPORT).read_text())
    assert report["dropped"] == {"media: outside_roots": 1, "media: truncated": 1, "media: unreachable": 1}
    parts = {len(body["messages"][1]["content"]) for body in teacher.asked if len(body["messages"][1]["content"]) < 9}
    assert parts == {5, 2}, "three pictures, the words and the ruling; or words and ruling alone"


def test_another_plan_needs_another_folder_and_is_told_what_differs(teacher: Teacher, tmp_path: Path) -> None:
    cases, out = write(tmp_path / "cases.jsonl", cases_of(["good"])), tmp_path / "taught"
    run(*typed(teacher, cases, out))
    asked = len(teacher.asked)
    with pytest.raises(
        BadInputError, match="teacher == 'wiser', was 'wise'; reader == 'wiser', was 'wise': a run goes"
    ):
        run(*typed(teacher, cases, out, "--model", "wiser"))
    with pytest.raises(BadInputError, match="tries == 4, was 3: a run goes on as it began, take another folder"):
        run(*typed(teacher, cases, out, "--tries", "4"))
    write(cases, cases_of(["better"]))
    with pytest.raises(BadInputError, match=r"run\.json: cases == 'sha256:.*', was 'sha256:"):
        run(*typed(teacher, cases, out))
    write(cases, cases_of(["good"]))
    plan = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(plan | {"prompts": f"sha256:{0:064}"}))
    with pytest.raises(BadInputError, match=r"run\.json: prompts == 'sha256:.*', was 'sha256:0000"):
        run(*typed(teacher, cases, out))
    (out / "run.json").write_text(json.dumps(plan))
    assert run(*typed(teacher, cases, out, "--parallel", "2", "--per-minute", "600")).exit_code == 0
    (out / "run.json").unlink()
    with pytest.raises(BadInputError, match=r"holds files and no run\.json, must be new or the folder of a run"):
        run(*typed(teacher, cases, out))
    assert len(teacher.asked) == asked


def test_the_cases_are_not_written_over(teacher: Teacher, tmp_path: Path) -> None:
    cases = write(tmp_path / "cases.jsonl", cases_of(["good"]))
    with pytest.raises(BadInputError, match="is the file of --cases, must be another"):
        run(*typed(teacher, cases, tmp_path / "taught", "--out-cases", str(cases)))


def test_one_process_at_a_time_works_in_a_folder(teacher: Teacher, tmp_path: Path) -> None:
    path, out = write(tmp_path / "cases.jsonl", cases_of(["good"])), tmp_path / "taught"
    run(*typed(teacher, path, out))
    plan = Plan.model_validate_json((out / "run.json").read_bytes())
    with folder_of(out, plan), pytest.raises(BadInputError, match="another process is teaching there"):
        run(*typed(teacher, path, out))


def test_a_budget_that_is_spent_is_exit_code_1_and_told_in_one_line(teacher: Teacher, tmp_path: Path) -> None:
    cases = write(tmp_path / "cases.jsonl", cases_of(["one", "two", "three"]))
    words = typed(teacher, cases, tmp_path / "taught", "--parallel", "1", "--budget-tokens", "140")
    done = subprocess.run([sys.executable, "-m", "cli", "vlm", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("3 cases: 1 kept")
    assert done.stderr == (
        f"precedent: {tmp_path / 'taught'}: budget of 140 tokens: 132 are spent, 2 of 3 cases are left: "
        "the same command with more goes on\n"
    )
    with pytest.raises(CheckFailedError):
        run(*words)
    teacher.down = 503
    down = typed(teacher, cases, tmp_path / "taught", "--timeout", "0.5", "--patience", "0.4")
    done = subprocess.run([sys.executable, "-m", "cli", "vlm", *down], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"precedent: {teacher.url}: does not answer in 0.4 s: answers 503; 2 of 3 cases are left, "
        "what was done is kept\n"
    )


def test_a_run_that_is_killed_again_and_again_pays_for_nothing_twice_and_writes_the_same(
    teacher: Teacher, tmp_path: Path
) -> None:
    rng, parallel, kills = random.Random(7), 3, 4
    cases = cases_of([f"{title} {row}" for row in range(6) for title in TITLES])
    path, killed, whole = write(tmp_path / "cases.jsonl", cases), tmp_path / "killed", tmp_path / "whole"
    more = ("--parallel", str(parallel), "--disagreements", "review", "--timeout", "30")
    assert run(*typed(teacher, path, whole, *more, "--out-cases", str(tmp_path / "whole.jsonl"))).exit_code == 0
    expected = dict(teacher.answered)
    teacher.answered.clear()
    teacher.delay_s = 0.01
    words = typed(teacher, path, killed, *more, "--out-cases", str(tmp_path / "killed.jsonl"))
    for stop_at in sorted(rng.sample(range(5, 100), kills)):
        with subprocess.Popen(
            [sys.executable, "-m", "cli", "vlm", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            while teacher.answered.total() < stop_at and process.poll() is None:
                time.sleep(0.001)
            time.sleep(rng.uniform(0.0, 0.02))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (killed / REASONINGS).exists()
    with (killed / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"key":"sha256:0')  # and once in the middle of a line
    done = subprocess.run([sys.executable, "-m", "cli", "vlm", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("half written, 16 bytes")) == (0, 1), done.stderr
    assert set(teacher.answered) == set(expected), "the same requests"
    twice = sum((teacher.answered - type(teacher.answered)(expected)).values())
    assert twice <= kills * parallel, "none but those under way when it was killed"
    for name in OUTPUTS:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    paid = teacher.answered.total()
    shutil.rmtree(whole)
    assert run(*words).exit_code == 0
    assert teacher.answered.total() == paid, "what is done is not asked again"


def test_an_interrupt_ends_with_the_answers_under_way_kept(teacher: Teacher, tmp_path: Path) -> None:
    path = write(tmp_path / "cases.jsonl", cases_of([f"video {row}" for row in range(40)]))
    words = typed(teacher, path, tmp_path / "taught", "--parallel", "2", "--timeout", "30")
    teacher.delay_s = 0.05
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import cli; cli.main()"
    with subprocess.Popen(
        [sys.executable, "-c", heard, "vlm", *words], stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        while teacher.answered.total() < 5 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == "\nprecedent: interrupted\n"
    assert process.returncode == 130
    answered = teacher.answered.total()
    assert answered < 80
    assert len((tmp_path / "taught" / "journal.jsonl").read_text().splitlines()) == answered
    teacher.delay_s = 0.0
    assert run(*words).output.startswith("40 cases: 40 kept")
    assert teacher.answered.total() == 80
