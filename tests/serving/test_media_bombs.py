"""Small files that unpack to much, files that name other files, and addresses that lead elsewhere: each is refused."""

import asyncio
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from serving.preprocess.media import DecodeLimits, DecodePool, MediaError, MediaReason, PoolSettings
from tests.serving.media_files import picture, write_video

FORMS = [
    "concat:{film}|{film}",
    "concatf:{film}",
    "subfile,,start,0,end,99,,:{film}",
    "data:video/mp4;base64,AAAA",
    "crypto:{film}",
    "cache:{film}",
    "async:{film}",
    "pipe:0",
    "fd:0",
    "tcp://127.0.0.1:{port}",
    "udp://127.0.0.1:{port}",
    "tls://127.0.0.1:{port}",
    "http://127.0.0.1:{port}/a.mp4",
    "hls+http://127.0.0.1:{port}/a.m3u8",
    "ftp://127.0.0.1:{port}/a.mp4",
    "rtsp://127.0.0.1:{port}/a",
    "unix:/tmp/socket",
    "gopher://127.0.0.1:{port}/",
    "lavfi:testsrc",
    "FILE:{film}x",
    "file:{film}\n",
    " {film}",
    "\\\\host\\share\\a.mp4",
    "C:\\a.mp4",
    "javascript:alert(1)",
    "{root}/../../../../etc/passwd",
    "file://{root}/%2e%2e/%2e%2e/etc/passwd",
    "file://127.0.0.1{film}",
    "/dev/zero",
    "/dev/stdin",
    "/proc/self/environ",
    "/proc/self/fd/0",
    "{root}/zero",
    "{root}/fifo",
    "{root}/socket",
    "{root}",
    "{root}/none.mp4",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def sound(root: Path) -> Path:
    return write_video(root / "sound.mp4", [picture(60)] * 3)


def refusals(
    root: Path, sound: Path, addresses: Sequence[str], limits: DecodeLimits | None = None
) -> list[MediaReason]:
    """Each reason, from one real pool; a sound film behind each is still decoded, and by the same number of workers."""
    settings = PoolSettings(roots=(root,), limits=limits or DecodeLimits())

    async def steps() -> list[MediaReason]:
        async with DecodePool(settings) as pool:
            answers = await pool.decode([one for address in addresses for one in (address, str(sound))])
            assert all(not isinstance(answer, MediaError) for answer in answers[1::2]), answers
            assert len(pool.pids) == 1
            found = []
            for address, answer in zip(addresses, answers[::2], strict=True):
                assert isinstance(answer, MediaError), address
                assert answer.detail
                found.append(answer.reason)
            return found

    return asyncio.run(asyncio.wait_for(steps(), 120))


class Bits:
    """Bits as an H.264 header writes them."""

    def __init__(self) -> None:
        self.text = ""

    def u(self, value: int, width: int) -> "Bits":
        self.text += f"{value:0{width}b}"
        return self

    def ue(self, *values: int) -> "Bits":
        for value in values:
            coded = f"{value + 1:b}"
            self.text += "0" * (len(coded) - 1) + coded
        return self

    def bytes(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        raw = int(text, 2).to_bytes(len(text) // 8, "big")
        return raw.replace(b"\0\0\0", b"\0\0\3\0").replace(b"\0\0\1", b"\0\0\3\1")


def sps_of(macroblocks: int) -> bytes:
    """An H.264 sequence parameter set, baseline, of a square picture so many macroblocks wide and high."""
    bits = Bits().u(66, 8).u(0, 8).u(51, 8).ue(0, 0, 2, 1).u(0, 1).ue(macroblocks - 1, macroblocks - 1)
    return b"\x67" + bits.u(1, 1).u(1, 1).u(0, 1).u(0, 1).bytes()


def replaced_sps(film: bytes, sps: bytes) -> bytes:
    """The film with another sequence parameter set in its header, and the sizes of the boxes around it mended."""
    at = film.index(b"avcC")
    record = film[at + 4 :]
    old = int.from_bytes(record[6:8], "big")
    new = record[:6] + len(sps).to_bytes(2, "big") + sps + record[8 + old :]
    data = bytearray(film[: at + 4] + new)
    for name in (b"avcC", b"avc1", b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        place = data.rindex(name, 0, at + 4) - 4
        size = int.from_bytes(data[place : place + 4], "big") + len(sps) - old
        data[place : place + 4] = size.to_bytes(4, "big")
    return bytes(data)


def test_a_stream_that_declares_a_gigantic_picture_is_refused_before_memory_is_taken(root: Path, sound: Path) -> None:
    # 1,024 macroblocks of 16 pixels a side are 268 million pixels, where 9.4 million are allowed: the decoder itself
    # takes none of its frames. 240 a side are 14.7 million: it would, so each frame's size is looked at.
    names = [str(root / f"wide{macroblocks}.mp4") for macroblocks in (240, 1_024, 4_096)]
    for name, macroblocks in zip(names, (240, 1_024, 4_096), strict=True):
        Path(name).write_bytes(replaced_sps(sound.read_bytes(), sps_of(macroblocks)))
    found = refusals(root, sound, names, DecodeLimits(memory_bytes=256 << 20))
    assert found[0] in {MediaReason.TOO_MANY_PIXELS, MediaReason.NO_FRAMES}
    assert found[1:] == [MediaReason.NO_FRAMES, MediaReason.NO_FRAMES]


def test_the_sequence_parameter_set_that_is_written_by_hand_is_one(root: Path, sound: Path) -> None:
    # 10 x 10 macroblocks: what the bomb's header says is read, so the bombs are refused for their size
    path = root / "small.mp4"
    path.write_bytes(replaced_sps(sound.read_bytes(), sps_of(10)))
    with av.open(str(path)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (160, 160)


def test_pictures_that_are_no_video_are_refused_whatever_they_declare(root: Path, sound: Path) -> None:
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1 << 30, 1 << 30, 8, 6, 0, 0, 0) + bytes(4)
    gif = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0xF7, 0, 0) + bytes(768) + b"\x3b"
    webp = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<IB3x3s3s", 10, 0, b"\xff" * 3, b"\xff" * 3)
    svg = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><svg>&e;</svg>'
    for name, data in {"a.png": png, "a.gif": gif, "a.webp": webp, "a.svg": svg}.items():
        (root / name).write_bytes(data)
    found = refusals(root, sound, [str(root / f"a.{kind}") for kind in ("png", "gif", "webp", "svg")])
    assert set(found) == {MediaReason.UNREADABLE}


def test_a_picture_codec_inside_a_video_container_is_refused(root: Path, sound: Path) -> None:
    path = write_video(root / "pictures.mkv", [picture(60)] * 2, codec="ffv1", options={"level": "3"})
    assert refusals(root, sound, [str(path)]) == [MediaReason.UNREADABLE]


def test_more_frames_than_the_limit_are_refused_although_the_file_is_small(root: Path, sound: Path) -> None:
    path = root / "frames.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=1_000)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        [packet] = stream.encode(av.VideoFrame.from_ndarray(picture(60, 16, 16), "rgb24"))
        data, base = bytes(packet), packet.time_base
        for at in range(40_000):
            again = av.Packet(data)
            again.stream, again.time_base, again.pts, again.dts, again.is_keyframe = stream, base, at, at, True
            out.mux(again)
    assert path.stat().st_size < 4_000_000
    assert refusals(root, sound, [str(path)]) == [MediaReason.TOO_MANY_FRAMES]


@pytest.mark.parametrize("declared", [1_000_000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_header_that_declares_a_million_frames_or_more_is_refused(root: Path, sound: Path, declared: int) -> None:
    data = bytearray(sound.read_bytes())
    at = data.index(b"stsz") + 8
    data[at : at + 8] = struct.pack(">II", 1, declared)  # each of one byte, so that no table is needed
    at = data.index(b"stts") + 8
    data[at : at + 8] = struct.pack(">II", 1, declared)
    at = data.index(b"stsc") + 12
    data[at : at + 8] = struct.pack(">II", 1, declared)
    path = root / f"declared{declared}.mp4"
    path.write_bytes(data)
    [found] = refusals(root, sound, [str(path)])
    many = {MediaReason.TOO_MANY_FRAMES, MediaReason.TRUNCATED, MediaReason.UNREADABLE, MediaReason.MEMORY}
    assert found in (many if declared > 1_000_000 else {MediaReason.TOO_MANY_FRAMES})


def test_a_film_that_unpacks_a_thousandfold_is_stopped_by_time(root: Path, sound: Path) -> None:
    black = [np.zeros((1_072, 1_920, 3), np.uint8)] * 120
    path = write_video(root / "black.mp4", black, gop=1_000, fps=30)
    assert path.stat().st_size * 1_000 < 120 * 1_920 * 1_072 * 3
    assert refusals(root, sound, [str(path)], DecodeLimits(cpu_s=0.05)) == [MediaReason.TIMEOUT]


def test_sparse_files_of_terabytes_and_of_zeros_are_refused_without_being_read_into_memory(
    root: Path, sound: Path
) -> None:
    for name, size in {"tera.mp4": 1 << 40, "zeros.mp4": 100 << 20}.items():
        (root / name).touch()
        os.truncate(root / name, size)
    (root / "zeros2.mp4").write_bytes(sound.read_bytes()[:32])
    os.truncate(root / "zeros2.mp4", 100 << 20)
    found = refusals(root, sound, [str(root / name) for name in ("tera.mp4", "zeros.mp4", "zeros2.mp4")])
    assert found[0] is MediaReason.TOO_MANY_BYTES
    assert set(found[1:]) <= {MediaReason.UNREADABLE, MediaReason.TRUNCATED}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that nobody must ever connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


def test_files_that_name_other_files_or_servers_are_never_followed(
    root: Path, sound: Path, listener: socket.socket
) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.mp4"
    texts = {
        "hls.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{url}\n#EXTINF:4,\n{sound}\n#EXT-X-ENDLIST\n",
        "key.m3u8": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:4,\n{sound}\n#EXT-X-ENDLIST\n',
        "concat.mp4": f"ffconcat version 1.0\nfile '{sound}'\nfile '{url}'\n",
        "dash.mpd": f"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><BaseURL>{url}</BaseURL></MPD>",
        "rtp.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
        "smil.mp4": f"[Reference]\nRef1={url}\n",
        "lavfi.mp4": "movie=/etc/passwd",
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    assert set(refusals(root, sound, [str(root / name) for name in texts])) == {MediaReason.UNREADABLE}


def test_a_movie_whose_frames_lie_in_another_file_shows_none_of_them(root: Path, sound: Path, tmp_path: Path) -> None:
    # QuickTime's data reference: `url ` with flag 0 names a file, where flag 1 says "in this one"
    other = tmp_path / "other.mp4"
    other.write_bytes(sound.read_bytes())
    data = bytearray(sound.read_bytes())
    at = data.index(b"dref")
    place = data.index(b"url ", at)
    name = other.as_uri().encode() + b"\0"
    entry = struct.pack(">I4sI", 12 + len(name), b"url ", 0) + name
    grown = len(entry) - 12
    data[place - 4 : place + 8] = entry
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = data.rindex(box, 0, place) - 4
        data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + grown).to_bytes(4, "big")
    # its own frames are gone: whoever followed the reference would find them in the other file
    at = data.index(b"mdat") + 4
    end = at - 8 + int.from_bytes(data[at - 8 : at - 4], "big")
    data[at:end] = bytes(end - at)
    (root / "elsewhere.mov").write_bytes(data)
    [found] = refusals(root, sound, [str(root / "elsewhere.mov")])
    assert found in {MediaReason.NO_FRAMES, MediaReason.UNREADABLE, MediaReason.TRUNCATED, MediaReason.OUTSIDE_ROOTS}


@pytest.mark.parametrize("form", FORMS)
def test_only_plain_files_inside_the_roots_are_decoded(form: str, asked: dict[str, MediaReason]) -> None:
    assert asked[form] in {
        MediaReason.SCHEME_REFUSED,
        MediaReason.ADDRESS_REFUSED,
        MediaReason.OUTSIDE_ROOTS,
        MediaReason.NOT_A_FILE,
        MediaReason.UNREACHABLE,
    }


@pytest.fixture(scope="module")
def asked(root: Path, sound: Path) -> Iterator[dict[str, MediaReason]]:
    """Every form of address above, asked of one pool while a server listens that nobody connects to."""
    forms = FORMS
    (root / "zero").symlink_to("/dev/zero")
    os.mkfifo(root / "fifo")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(root / "socket"))
        server.setblocking(False)
        port = server.getsockname()[1]
        found = refusals(root, sound, [form.format(film=sound, root=root, port=port) for form in forms])
        yield dict(zip(forms, found, strict=True))
        with pytest.raises(BlockingIOError):
            server.accept()
