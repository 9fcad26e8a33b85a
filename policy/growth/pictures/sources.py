"""A path in, where its pictures lie and what each holds out: a folder, Parquet, or uploads with videos."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from contracts.errors import BadInputError, printable
from policy.growth.pictures.decoding import PictureError, PictureLimits, PictureReason, check_bytes
from policy.score import LINES, MEDIA, read_uploads
from serving.preprocess.media import MediaError, resolve_media

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PARQUET = ".parquet"
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_ROWS = 64


class Sourced(NamedTuple):
    """One picture: where it is from, and its bytes, the path of its video, or why it cannot be had."""

    source: str
    content: bytes | Path | PictureError | MediaError


class Pictures(NamedTuple):
    """How many pictures there are, and what goes through them, always in one order."""

    n: int
    each: Callable[[], Iterator[Sourced]]
    roots: tuple[Path, ...] = ()


def open_pictures(path: Path, *, column: str, roots: Sequence[Path], limits: PictureLimits) -> Pictures:
    """The pictures of a folder of files, of a Parquet file or folder, or of uploads (JSONL, or a video itself).

    A folder is gone through to its depths, hidden names left out, in the order of the relative paths; every file is
    taken to be a picture. Parquet holds bytes in `column`, or in its field `bytes`. Videos may lie under `roots`, by
    default beside the uploads. Raises `BadInputError` where there are none or the path is of another kind.
    """
    if path.is_dir():
        found = _of_folder(path, column, limits)
    elif path.suffix.lower() == PARQUET:
        found = _of_parquet([path], path.parent, column)
    elif path.suffix.lower() in LINES + MEDIA:
        allowed = tuple(roots) or (path.resolve().parent,)
        found = Pictures(_n_uploads(path), partial(_uploads, path, allowed), allowed)
    else:
        rule = f"must be a folder, or end in {', '.join((PARQUET, *LINES, *MEDIA))}"
        raise BadInputError(f"{path}: {'is a file of another kind' if path.exists() else 'is not there'}, {rule}")
    if found.n == 0:
        raise BadInputError(f"{path}: holds no pictures, must hold one or more")
    return found


def _of_folder(root: Path, column: str, limits: PictureLimits) -> Pictures:
    names = sorted(_files_below(root))
    tables = [root / name for name in names if name.lower().endswith(PARQUET)]
    if not tables:
        return Pictures(len(names), partial(_files, root, names, limits))
    if beside := next((name for name in names if name.lower().endswith(_PICTURES)), None):
        raise BadInputError(f"{root}: holds {beside} beside {tables[0].name}, must be pictures or Parquet, not both")
    return _of_parquet(tables, root, column)


def _files_below(root: Path) -> Iterator[str]:
    def stop(error: OSError) -> None:
        raise BadInputError(f"{error.filename}: {error.strerror or error}") from error

    for folder, inner, files in os.walk(root, onerror=stop):
        inner[:] = [name for name in inner if not name.startswith(".")]
        below = Path(folder).relative_to(root)
        yield from ((below / name).as_posix() for name in files if not name.startswith("."))


def _files(root: Path, names: Sequence[str], limits: PictureLimits) -> Iterator[Sourced]:
    for name in names:
        told = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        yield Sourced(told, _bytes_of(root / name, limits))


def _bytes_of(path: Path, limits: PictureLimits) -> bytes | PictureError:
    try:
        told = path.stat()
        if not stat.S_ISREG(told.st_mode):
            return PictureError(PictureReason.NOT_A_FILE, "must be a regular file")
        check_bytes(told.st_size, limits)
        return path.read_bytes()
    except PictureError as error:
        return error
    except OSError as error:
        return PictureError(PictureReason.MISSING, f"cannot be opened: {error.strerror or error}")


def _of_parquet(files: Sequence[Path], root: Path, column: str) -> Pictures:
    chosen = [_column_of(file, column) for file in files]
    n = sum(rows for rows, _ in chosen)
    return Pictures(n, partial(_rows, files, [name for _, name in chosen], root))


def _column_of(file: Path, column: str) -> tuple[int, str]:
    """How many rows a file has, and the path of its column of bytes."""
    import pyarrow as pa

    with _opened(file) as table:
        schema: pa.Schema = table.schema_arrow
        if column not in schema.names:
            has = printable(", ".join(schema.names), at_most=200)
            raise BadInputError(f"{file}: has columns {has}; one must be {column!r}, or name another")
        kind = schema.field(column).type
        if _is_bytes(kind):
            return table.metadata.num_rows, column
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and _is_bytes(kind.field("bytes").type):
            return table.metadata.num_rows, f"{column}.bytes"
        raise BadInputError(f"{file}: {column} is {kind}, must be bytes or a struct with a field of bytes")


def _is_bytes(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _rows(files: Sequence[Path], columns: Sequence[str], root: Path) -> Iterator[Sourced]:
    for file, column in zip(files, columns, strict=True):
        place, row = file.relative_to(root).as_posix(), 0
        with _opened(file) as table:
            for batch in table.iter_batches(batch_size=_ROWS, columns=[column], use_threads=False):
                for value in batch.column(0).to_pylist():
                    content = value["bytes"] if isinstance(value, dict) else value
                    missing = PictureError(PictureReason.MISSING, f"{column} is null, must be the bytes of a picture")
                    yield Sourced(f"{place}:{row}", missing if content is None else content)
                    row += 1


@contextmanager
def _opened(file: Path) -> "Iterator[pq.ParquetFile]":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, pre_buffer=False) as table:
            yield table
    except FileNotFoundError:
        raise BadInputError(f"{file}: is not there") from None
    except (pa.ArrowException, OSError) as error:
        raise BadInputError(f"{file}: cannot be read as Parquet: {printable(str(error), at_most=200)}") from error


def _n_uploads(path: Path) -> int:
    if path.suffix.lower() in MEDIA or not path.is_file():
        return 1  # what is not there is said by whoever reads it
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _uploads(path: Path, roots: tuple[Path, ...]) -> Iterator[Sourced]:
    for upload in read_uploads([path]):
        if upload.media_url is None:
            yield Sourced(upload.video_id, PictureError(PictureReason.MISSING, "the upload has no media_url"))
            continue
        try:
            yield Sourced(upload.video_id, resolve_media(upload.media_url, roots))
        except MediaError as error:
            yield Sourced(upload.video_id, error)
