"""resolve_media: which addresses are followed, and whose fault it is when one cannot be."""

import os
from pathlib import Path

import pytest

from contracts.errors import BadInputError, DependencyError
from serving.preprocess.media import MediaError, MediaReason, resolve_media


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    root.mkdir()
    (root / "a b.mp4").write_bytes(b"x")
    (tmp_path / "secret.mp4").write_bytes(b"x")
    return root


def reason_for(address: str, root: Path) -> MediaReason:
    with pytest.raises(MediaError) as refused:
        resolve_media(address, [root])
    return refused.value.reason


def test_file_urls_and_plain_paths_inside_a_root_resolve(root: Path) -> None:
    inside = root / "a b.mp4"
    for address in (str(inside), inside.as_uri(), f"file://localhost{root}/a%20b.mp4", f"{root}/./x/../a b.mp4"):
        assert resolve_media(address, [Path("/nowhere"), root]) == inside


def test_a_root_reached_through_a_link_is_the_same_root(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert resolve_media(f"{tmp_path}/link/a b.mp4", [tmp_path / "link"]) == root / "a b.mp4"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data", MediaReason.SCHEME_REFUSED),
        ("https://example.org/a.mp4", MediaReason.SCHEME_REFUSED),
        ("HTTP://example.org/a.mp4", MediaReason.SCHEME_REFUSED),
        ("concat:/etc/passwd|/etc/group", MediaReason.SCHEME_REFUSED),
        ("a.mp4", MediaReason.SCHEME_REFUSED),
        ("", MediaReason.SCHEME_REFUSED),
        ("file://other.host/a.mp4", MediaReason.ADDRESS_REFUSED),
        ("file:a.mp4", MediaReason.ADDRESS_REFUSED),
        ("file:///a.mp4?x=1", MediaReason.ADDRESS_REFUSED),
        ("file:///a%00.mp4", MediaReason.ADDRESS_REFUSED),
        ("/a\0.mp4", MediaReason.ADDRESS_REFUSED),
        ("/\udcff\ud800.mp4", MediaReason.ADDRESS_REFUSED),
        ("http://[::1", MediaReason.ADDRESS_REFUSED),
        ("/etc/passwd", MediaReason.OUTSIDE_ROOTS),
        ("file:///etc/passwd", MediaReason.OUTSIDE_ROOTS),
    ],
)
def test_other_addresses_are_refused_with_their_reason(address: str, reason: MediaReason, root: Path) -> None:
    assert reason_for(address, root) is reason


def test_dots_and_links_do_not_lead_out_of_the_root(root: Path, tmp_path: Path) -> None:
    (root / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (root / "up").symlink_to(tmp_path)
    for address in (
        f"{root}/../secret.mp4",
        f"file://{root}/%2e%2e/secret.mp4",
        f"{root}/out.mp4",
        f"{root}/up/secret.mp4",
    ):
        assert reason_for(address, root) is MediaReason.OUTSIDE_ROOTS


def test_a_sibling_whose_name_starts_like_the_root_is_outside(root: Path, tmp_path: Path) -> None:
    (tmp_path / "media-of-others").mkdir()
    (tmp_path / "media-of-others" / "a.mp4").write_bytes(b"x")
    assert reason_for(f"{tmp_path}/media-of-others/a.mp4", root) is MediaReason.OUTSIDE_ROOTS


def test_what_is_no_regular_file_is_refused(root: Path) -> None:
    os.mkfifo(root / "pipe.mp4")
    assert reason_for(f"{root}/pipe.mp4", root) is MediaReason.NOT_A_FILE
    assert reason_for(str(root), root) is MediaReason.NOT_A_FILE


def test_a_missing_file_a_link_to_itself_and_an_endless_name_are_unreachable(root: Path) -> None:
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    for name in ("none.mp4", "a b.mp4/inside.mp4", "loop.mp4", "x" * 300):
        assert reason_for(f"{root}/{name}", root) is MediaReason.UNREACHABLE


def test_a_missing_root_is_the_stores_fault_so_the_video_waits(root: Path) -> None:
    with pytest.raises(DependencyError, match="is not there"):
        resolve_media(f"{root}/gone/a.mp4", [root / "gone"])


def test_a_disk_error_is_the_stores_fault(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> os.stat_result:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(Path, "stat", broken)
    with pytest.raises(DependencyError, match="Input/output error"):
        resolve_media(f"{root}/a b.mp4", [root])


def test_without_roots_nothing_is_followed(root: Path) -> None:
    with pytest.raises(BadInputError, match="must lie inside the media roots: none"):
        resolve_media(f"{root}/a b.mp4", [])
