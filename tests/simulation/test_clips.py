"""What is filmed: real H.264 files of many shapes, the same for the same seed, however many processes film."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from contracts.cases import DecidedCase
from contracts.errors import BadInputError
from contracts.kuaimod import KuaiModRecord
from contracts.taxonomy import VIOLATIVE, Category
from contracts.videos import VideoUploaded
from simulation.commands import simulate
from simulation.pictures.clips import ClipSize, draw_format
from simulation.pictures.painting import paint
from simulation.pictures.scenes import BENIGN_SCENES, SHARED_SCENES
from simulation.pictures.violations import CATEGORY_SCENES
from simulation.replay import replay
from simulation.uploads import Simulation, Truth, write_uploads

SCENES = (*BENIGN_SCENES, *SHARED_SCENES, *CATEGORY_SCENES.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_uploads(folder, Simulation(48, 7, as_cases=True))
    return folder


def lines(path: Path) -> Sequence[str]:
    return path.read_text("utf-8").splitlines()


def pixels(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_every_violative_category_has_a_scene_and_names_are_distinct() -> None:
    assert set(CATEGORY_SCENES) == set(VIOLATIVE)
    assert len({scene.name for scene in SCENES}) == len(SCENES)


@pytest.mark.parametrize(("width", "height", "n_frames"), [(16, 16, 1), (90, 160, 12), (160, 120, 20), (640, 36, 2)])
def test_every_scene_paints_at_every_size_and_moves(width: int, height: int, n_frames: int) -> None:
    for number, scene in enumerate(SCENES):
        frames = paint(scene, width, height, n_frames, 10.0, np.random.default_rng(number))
        assert frames.shape == (n_frames, height, width, 3)
        assert frames.dtype == np.uint8
        if n_frames > 2:
            assert (frames[0] != frames[-1]).any()
            # grain is added in eight bits: colours stay clear of what would wrap
            assert frames.min() >= 1
            assert frames.max() <= 254


def test_a_scene_never_looks_twice_the_same() -> None:
    for scene in SCENES:
        first, second = (paint(scene, 64, 48, 1, 10.0, np.random.default_rng(seed)) for seed in (1, 2))
        assert np.abs(first.astype(int) - second).mean() > 3


def test_clips_are_h264_of_many_shapes_rates_and_key_frame_distances(folder: Path) -> None:
    shapes, rates, sounds, keys = set(), set(), 0, set()
    for path in sorted((folder / "media").iterdir()):
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            assert video.codec_context.name == "h264"
            assert video.width % 2 == 0
            assert video.height % 2 == 0
            assert 1.8 < float(video.duration * video.time_base) < 3.2
            shapes.add((video.width, video.height))
            rates.add(video.average_rate)
            sounds += bool(container.streams.audio)
            keys.add(sum(packet.is_keyframe for packet in container.demux(video)))
    assert len(shapes) >= 4
    assert len(rates) >= 3
    assert len(keys) >= 4
    assert 2 <= sounds <= 24


def test_events_truth_and_cases_are_apart_and_agree(folder: Path) -> None:
    uploads = [VideoUploaded.model_validate_json(line) for line in lines(folder / "uploads.jsonl")]
    truths = [Truth.model_validate_json(line) for line in lines(folder / "truth.jsonl")]
    cases = [DecidedCase.model_validate_json(line) for line in lines(folder / "cases.jsonl")]
    assert [u.video_id for u in uploads] == [t.video_id for t in truths] == [c.upload.video_id for c in cases]
    assert [c.category for c in cases] == [t.category for t in truths]
    assert [c.upload for c in cases] == uploads
    for upload in uploads:
        assert upload.media_url == (folder / "media" / f"{upload.video_id}.mp4").as_uri()
        assert (folder / "media" / f"{upload.video_id}.mp4").is_file()
    assert len(list((folder / "media").iterdir())) == 48


def test_the_same_seed_films_the_same_whatever_the_number_of_processes(folder: Path, tmp_path: Path) -> None:
    filmed: list[int] = []
    write_uploads(tmp_path, Simulation(48, 7), workers=2, on_filmed=filmed.append)
    assert sum(filmed) == 48
    ours = (tmp_path / "uploads.jsonl").read_text("utf-8")
    assert ours.replace(tmp_path.as_uri(), folder.as_uri()) == (folder / "uploads.jsonl").read_text("utf-8")
    assert not (tmp_path / "cases.jsonl").exists()
    for path in sorted((folder / "media").iterdir())[::6]:
        assert np.array_equal(pixels(path), pixels(tmp_path / "media" / path.name))


def test_a_given_size_is_kept_and_encoded_as_phones_do(tmp_path: Path) -> None:
    write_uploads(tmp_path, Simulation(1, 1, size=ClipSize(180, 320, 1.0, 24)))
    (path,) = (tmp_path / "media").iterdir()
    assert pixels(path).shape == (24, 320, 180, 3)
    assert draw_format(np.random.default_rng(0), ClipSize(127, 203, 1.0, 24)).width == 126


def test_the_command_writes_and_says_where(tmp_path: Path) -> None:
    done = CliRunner().invoke(simulate, ["uploads", "--out", str(tmp_path), "--n", "5", "--seed", "1", "--no-media"])
    assert done.exit_code == 0, done.output
    assert "5 uploads in" in done.output
    assert not (tmp_path / "media").exists()
    assert all("media_url" not in line for line in lines(tmp_path / "uploads.jsonl"))


def test_bad_options_are_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    one = ["--n", "1", "--seed", "1"]
    refused = CliRunner().invoke(simulate, ["uploads", "--out", str(tmp_path / "file" / "x"), *one])
    assert isinstance(refused.exception, BadInputError)
    half = CliRunner().invoke(simulate, ["uploads", "--out", str(tmp_path), *one, "--width", "64"])
    assert isinstance(half.exception, BadInputError)
    none = CliRunner().invoke(simulate, ["uploads", "--out", str(tmp_path), "--n", "0", "--seed", "1"])
    assert none.exit_code == 2


RECORD = '{"tag": "违法犯罪", "title": "t", "OCR": "null", "ASR": "a|b", "images": ["1_0.jpg"], "pid": "1"}'


def test_a_benchmark_is_replayed_at_its_rate_with_its_labels_apart(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    records = [KuaiModRecord.model_validate_json(RECORD.replace('"1"', f'"{n}"')) for n in range(3)]
    replayed = list(replay(records, start, rate_per_s=4.0))
    assert [u.occurred_at - start for u in replayed] == [timedelta(seconds=n / 4) for n in range(3)]
    (tmp_path / "cases.jsonl").write_text(RECORD + "\n", "utf-8")
    done = CliRunner().invoke(simulate, ["replay", str(tmp_path / "cases.jsonl"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    (event,) = lines(tmp_path / "out" / "uploads.jsonl")
    assert "违法犯罪" not in event
    assert Category.ILLEGAL_ACTIVITY.value in lines(tmp_path / "out" / "truth.jsonl")[0]
    (tmp_path / "bad.jsonl").write_text(RECORD.replace("违法犯罪", "别的"), "utf-8")
    bad = CliRunner().invoke(simulate, ["replay", str(tmp_path / "bad.jsonl"), "--out", str(tmp_path / "out")])
    assert isinstance(bad.exception, BadInputError)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except OSError:
        return False


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path: Path, end: signal.Signals) -> None:
    command = [
        sys.executable,
        "-m",
        "cli",
        "simulate",
        "uploads",
        "--out",
        str(tmp_path),
        "--n",
        "20000",
        "--seed",
        "1",
    ]
    with subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.DEVNULL) as parent:
        while not (tmp_path / "media").is_dir() or not any((tmp_path / "media").iterdir()):
            assert parent.poll() is None
            time.sleep(0.05)
        children = children_of(parent.pid)
        assert len(children) >= 2
        os.kill(parent.pid, end)
        parent.wait(timeout=30)
    deadline = time.monotonic() + 15
    while any(is_alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(child) for child in children)
    assert not (tmp_path / "uploads.jsonl").exists()
