"""decode_frames: which frames, how they look, and why a file is refused. Every file is a real one."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DependencyError
from serving.preprocess.media import (
    DecodeLimits,
    MediaError,
    MediaReason,
    choose_frames,
    decode_frames,
)
from tests.serving.media_files import (
    HEIGHT,
    WIDTH,
    picture,
    turned,
    write_audio_only,
    write_video,
    write_zero_frames,
)

NO_LIMITS_GIVEN = DecodeLimits()


def shades(frames: np.ndarray) -> list[int]:
    """The brightness in the middle of each frame."""
    return frames[:, 30:34, 30:34].mean(axis=(1, 2, 3)).round().astype(int).tolist()


def reason_for(path: Path, limits: DecodeLimits = NO_LIMITS_GIVEN) -> MediaReason:
    with pytest.raises(MediaError) as refused:
        decode_frames(path, limits=limits)
    return refused.value.reason


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 frames at 8 a second whose shade is 16 + 6 * frame number."""
    return write_video(tmp_path_factory.mktemp("film") / "film.mp4", [picture(16 + 6 * i) for i in range(32)], fps=8)


def test_the_cover_and_the_middles_of_eight_equal_spans_are_chosen() -> None:
    # 4 s at 8 fps: spans of 4 frames, whose middles fall on frames 2, 6, 10, ...
    assert choose_frames(np.arange(32), 32, 9).tolist() == [0, 2, 6, 10, 14, 18, 22, 26, 30]


def test_a_long_still_does_not_crowd_out_the_other_frames() -> None:
    # shown at 0 for 90 of 100 ticks: all but the last span fall on the still, the rest is filled evenly
    shown_at = np.array([0, 90, 92, 94, 96, 98])
    assert choose_frames(shown_at, 100, 4).tolist() == [0, 1, 3, 5]
    assert choose_frames(shown_at, 100, 6).tolist() == [0, 1, 2, 3, 4, 5]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True), st.integers(1, 16))
def test_as_many_distinct_frames_as_there_are_in_order_with_the_cover_first(times: list[int], n: int) -> None:
    shown_at = np.array(sorted(times))
    chosen = choose_frames(shown_at, int(shown_at[-1]) + 1, n)
    assert chosen[0] == 0
    assert len(chosen) == min(n, len(times))
    assert (np.diff(chosen) > 0).all()


def test_frames_are_sampled_in_time_whatever_the_key_frames(film: Path) -> None:
    # limited-range rounding moves a shade by 2 at most
    expected = [16 + 6 * i for i in (0, 2, 6, 10, 14, 18, 22, 26, 30)]
    assert np.abs(np.array(shades(decode_frames(film))) - expected).max() <= 2


@pytest.mark.parametrize("gop", [1, 3, 250])
@pytest.mark.parametrize("preset", ["ultrafast", "medium", "veryslow"])
def test_skipping_what_is_not_needed_changes_no_pixel(tmp_path: Path, gop: int, preset: str) -> None:
    rng = np.random.default_rng(5)
    scene = rng.integers(0, 255, (HEIGHT + 96, WIDTH + 96, 3), dtype=np.uint8)
    moving = [scene[2 * i : 2 * i + HEIGHT, 3 * i : 3 * i + WIDTH] for i in range(31)]
    path = write_video(tmp_path / "moving.mp4", moving, gop=gop, options={"preset": preset, "crf": "30"})
    with av.open(str(path)) as container:
        every = list(container.decode(video=0))
    wanted = choose_frames(np.array([frame.pts for frame in every]), every[-1].pts + every[-1].duration, 9)
    small = [every[i].reformat(64, 48, "rgb24", interpolation="AREA").to_ndarray() for i in wanted]
    assert (decode_frames(path)[:, 8:56] == np.stack(small)).all()


def test_open_groups_of_pictures_are_decoded_from_the_group_before(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    scene = rng.integers(0, 255, (HEIGHT + 64, WIDTH, 3), dtype=np.uint8)
    options = {"preset": "medium", "x264-params": "open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0:scenecut=0"}
    path = write_video(tmp_path / "open.mp4", [scene[2 * i : 2 * i + HEIGHT] for i in range(30)], options=options)
    with av.open(str(path)) as container:
        every = list(container.decode(video=0))
    assert len(every) == 30
    frames = decode_frames(path, n_frames=30)
    small = [frame.reformat(64, 48, "rgb24", interpolation="AREA").to_ndarray() for frame in every]
    assert (frames[:, 8:56] == np.stack(small)).all()


def test_variable_frame_rates_are_sampled_by_time_not_by_count(tmp_path: Path) -> None:
    # 20 frames in the first second, then one still for nine seconds
    times = [*range(20), 199]
    path = write_video(tmp_path / "vfr.mp4", [picture(20 + 10 * i) for i in range(21)], fps=20, times=times)
    seen = shades(decode_frames(path, n_frames=3))
    # the cover; then 2.5 s and 7.5 s both show frame 19, so one is filled from the middle of the others
    assert len(seen) == 3
    assert abs(seen[0] - 20) <= 2
    assert abs(seen[2] - 210) <= 2


@pytest.mark.parametrize(
    ("width", "height", "rows", "columns"),
    [
        (160, 120, (8, 56), (0, 64)),
        (90, 160, (0, 64), (14, 50)),
        (126, 202, (0, 64), (12, 52)),
        (640, 16, (31, 33), (0, 64)),
    ],
)
def test_pictures_are_letterboxed_with_their_aspect_kept(
    tmp_path: Path, width: int, height: int, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    path = write_video(tmp_path / "shape.mp4", [picture(200, width, height)] * 3)
    frames = decode_frames(path)
    assert frames.shape == (3, 64, 64, 3)
    assert frames.dtype == np.uint8
    lit = frames[0].max(axis=2) > 100
    assert (np.flatnonzero(lit.any(axis=1))[[0, -1]] + [0, 1]).tolist() == list(rows)
    assert (np.flatnonzero(lit.any(axis=0))[[0, -1]] + [0, 1]).tolist() == list(columns)


def test_odd_sizes_decode(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "odd.mp4"), "w") as out:
        video = out.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 127, 203, "yuv444p"
        for _ in range(2):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture(150, 127, 203), "rgb24")))
        out.mux(video.encode())
    assert decode_frames(tmp_path / "odd.mp4").shape == (2, 64, 64, 3)


def test_a_turned_film_is_seen_as_players_show_it(tmp_path: Path) -> None:
    top_white = picture(16)
    top_white[: HEIGHT // 2] = 235
    straight = write_video(tmp_path / "straight.mp4", [top_white] * 2)
    frame = decode_frames(turned(straight, tmp_path / "turned.mp4"))[0].astype(int)
    assert frame[:, :8].sum() == 0  # it stands upright now
    assert frame[20:44, 40:52].mean() > 200  # what was on top is at the right after a clockwise turn
    assert frame[20:44, 12:24].mean() < 30


def test_sound_is_no_hindrance_and_one_frame_is_enough(tmp_path: Path) -> None:
    path = write_video(tmp_path / "one.mp4", [picture(90)], audio_s=0.5)
    assert decode_frames(path).shape == (1, 64, 64, 3)


def test_matroska_and_a_renamed_file_are_known_by_their_content(tmp_path: Path) -> None:
    path = write_video(tmp_path / "film.mkv", [picture(90)] * 4)
    renamed = path.rename(tmp_path / "film.jpg")
    assert len(decode_frames(renamed)) == 4


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert reason_for(tmp_path / "empty.mp4") is MediaReason.EMPTY


def test_garbage_named_mp4_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "garbage.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(20_000))
    assert reason_for(path) is MediaReason.UNREADABLE


def test_a_playlist_is_never_followed(tmp_path: Path, film: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://{film}\n#EXT-X-ENDLIST\n")
    assert reason_for(path) is MediaReason.UNREADABLE


def test_a_file_cut_before_its_index_is_refused_as_truncated(tmp_path: Path, film: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(film.read_bytes()[:900])
    assert reason_for(path) is MediaReason.TRUNCATED


def test_a_file_cut_after_its_index_is_refused_as_truncated(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noisy = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(10)]
    path = write_video(tmp_path / "fast.mp4", noisy, container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert reason_for(path) is MediaReason.TRUNCATED


def test_a_file_with_damaged_pictures_still_shows_those_that_decode(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    noisy = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(9)]
    path = write_video(tmp_path / "hurt.mp4", noisy, gop=1)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    assert 5 <= len(decode_frames(path)) <= 9


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    assert reason_for(write_audio_only(tmp_path / "sound.mp4")) is MediaReason.NO_VIDEO


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    assert reason_for(write_zero_frames(tmp_path / "none.mp4")) is MediaReason.NO_FRAMES


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (DecodeLimits(bytes=1_000), MediaReason.TOO_MANY_BYTES),
        (DecodeLimits(pixels=WIDTH * HEIGHT - 1), MediaReason.TOO_MANY_PIXELS),
        (DecodeLimits(frames=31), MediaReason.TOO_MANY_FRAMES),
        (DecodeLimits(duration_s=3.5), MediaReason.TOO_LONG),
        (DecodeLimits(cpu_s=0.0), MediaReason.TIMEOUT),
    ],
)
def test_each_limit_refuses_with_its_own_reason(film: Path, limits: DecodeLimits, reason: MediaReason) -> None:
    assert reason_for(film, limits) is reason


def test_a_file_at_its_limits_is_decoded(film: Path) -> None:
    limits = DecodeLimits(bytes=film.stat().st_size, pixels=WIDTH * HEIGHT, frames=32, duration_s=4.0)
    assert len(decode_frames(film, limits=limits)) == 9


def test_a_frame_larger_than_the_header_says_is_refused(tmp_path: Path, film: Path) -> None:
    data = bytearray(film.read_bytes())
    at = data.index(b"avc1") + 4 + 24
    data[at : at + 4] = (32).to_bytes(2, "big") + (32).to_bytes(2, "big")
    (tmp_path / "liar.mp4").write_bytes(data)
    assert reason_for(tmp_path / "liar.mp4", DecodeLimits(pixels=64 * 64)) is MediaReason.TOO_MANY_PIXELS


def test_messages_name_the_value_the_rule_and_the_place(film: Path) -> None:
    with pytest.raises(MediaError, match=r"media '.*film\.mp4': frames == 32, must be at most 31 \(too_many_frames\)"):
        decode_frames(film, limits=DecodeLimits(frames=31))


def test_a_missing_file_is_the_events_fault_and_a_broken_disk_is_not(tmp_path: Path, film: Path) -> None:
    class BrokenDisk(type(film)):  # type: ignore[misc]
        def stat(self, **_: object) -> object:
            raise OSError(5, "Input/output error")

    assert reason_for(tmp_path / "nowhere.mp4") is MediaReason.UNREACHABLE
    with pytest.raises(DependencyError, match="Input/output error"):
        decode_frames(BrokenDisk(film))
