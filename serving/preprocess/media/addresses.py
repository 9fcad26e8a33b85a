"""A media address from an event -> the path of a regular file inside the allowed roots.

An address is what an uploader's client wrote, so it is followed only where we said so: `file://` or a plain
absolute path, inside a root after every `..` and symbolic link is resolved. Nothing is ever fetched over a
network: an address that names a host would let an uploader make our workers knock on internal doors.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from contracts.errors import DependencyError
from serving.preprocess.media.refusals import MediaError, MediaReason

LOCAL_HOSTS = frozenset({"", "localhost"})
# The file is at fault; any other errno is the store's, and the video waits for it.
_OF_THE_FILE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,
    }
)


def resolve_media(address: str, roots: Sequence[Path]) -> Path:
    """The regular file that `address` names, inside one of `roots`.

    Raises `MediaError` when the address or the file is at fault, `DependencyError` when a root is not there
    or the store answers with an I/O error.
    """
    path = Path(os.path.realpath(_named_path(address)))
    # a root may itself be reached through a link: compare what both resolve to
    root = next((root for root in roots if path.is_relative_to(os.path.realpath(root))), None)
    if root is None:
        allowed = ", ".join(str(root) for root in roots) or "none"
        raise MediaError(
            MediaReason.OUTSIDE_ROOTS,
            address,
            f"resolves to {str(path)!r}, must lie inside the media roots: {allowed}",
        )
    with store_errors(address):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            if not root.is_dir():
                raise DependencyError(f"media root {str(root)!r} is not there (is the store mounted?)") from None
            raise
    if not stat.S_ISREG(mode):
        raise MediaError(MediaReason.NOT_A_FILE, address, "must be a regular file")
    return path


@contextmanager
def store_errors(place: str) -> Iterator[None]:
    """Tell an `OSError` of the file (`MediaError`) from one of the store that holds it (`DependencyError`)."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_THE_FILE:
            raise MediaError(MediaReason.UNREACHABLE, place, f"cannot be opened: {error.strerror or error}") from error
        raise DependencyError(f"media store: {error} while reading {place!r}") from error


def _named_path(address: str) -> Path:
    try:
        os.fsencode(address)
    except UnicodeEncodeError:
        raise MediaError(MediaReason.ADDRESS_REFUSED, ascii(address), "must be valid Unicode") from None
    if "\0" in address:
        raise MediaError(MediaReason.ADDRESS_REFUSED, address, "must not hold a NUL character")
    if address.startswith("/"):
        return Path(address)
    if any(mark in address for mark in "\t\r\n"):  # which `urlsplit` would leave out without a word
        raise MediaError(MediaReason.ADDRESS_REFUSED, address, "must not hold a tab or the end of a line")
    try:
        parts = urlsplit(address)
        scheme, host = parts.scheme, parts.netloc
    except ValueError as error:
        raise MediaError(MediaReason.ADDRESS_REFUSED, address, f"is no URL: {error}") from error
    if scheme != "file":
        shown = scheme or "none"
        raise MediaError(
            MediaReason.SCHEME_REFUSED,
            address,
            f"scheme == {shown!r}, must be 'file' or a plain absolute path: nothing is fetched over a network",
        )
    path = unquote(parts.path)
    if host not in LOCAL_HOSTS or not path.startswith("/") or "\0" in path or parts.query or parts.fragment:
        raise MediaError(
            MediaReason.ADDRESS_REFUSED, address, "must be file:///an/absolute/path, without host or query"
        )
    return Path(path)
