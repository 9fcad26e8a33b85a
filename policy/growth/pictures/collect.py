"""Pictures of a source -> HOME/pictures, part by part: each content once, what cannot be used dropped with its reason.

Part i holds what is kept of pictures i * part to (i + 1) * part of the source. Its `input` is a digest of their
contents and of all before them, which decide what is a duplicate: so a rerun reads every picture again, but decodes
none of a part that is done.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple

import polars as pl

from policy.growth.parts import Schema, Totals, check_ends_at, is_done, part_at, read_part, totals, write_part
from policy.growth.pictures.decoders import Decode, Decoded, PictureSettings, Refused, decoders, digest_of_video
from policy.growth.pictures.decoding import PictureReason
from policy.growth.pictures.sources import Pictures, Sourced
from serving.preprocess.media import MediaError

KEPT: Schema = {
    "picture_id": pl.String,
    "source": pl.String,
    "frames": pl.List(pl.Binary),
    "width": pl.Int32,
    "height": pl.Int32,
}
DROPPED: Schema = {"source": pl.String, "reason": pl.String, "detail": pl.String}
_ID_CHARS = 32
_AT_ONCE = 64
_IN_MEMORY = 256 << 20
"""Bytes of a part's pictures as they lie; more of them wait on the disk."""


class _Taken(NamedTuple):
    """A picture whose content was read once: its digest, and where its bytes wait, or its video lies, or why not."""

    source: str
    digest: str
    at: tuple[int, int] | Path | Refused


def collect(pictures: Pictures, folder: Path, settings: PictureSettings, *, advance: Callable[[int], None]) -> Totals:
    """Keep the pictures of a source in the parts of `folder`; what is done already is not done again.

    Memory holds a part's JPEGs, 64 decoded pictures and an id for each picture kept. Raises `BadInputError` where the
    parts are of another source or other settings, `DependencyError` where the store of videos is away.
    """
    waiting, before, i = pictures.each(), "", 0
    kept_in: dict[bytes, int] = {}
    with decoders(settings, pictures.roots) as decode:
        while True:
            with SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
                taken = [_take(item, spool, settings) for item in islice(waiting, settings.part)]
                if not taken:
                    break
                before = _chained(before, taken)
                if not is_done(folder, i, input=before, plan=settings.plan):
                    found = _decode_new(taken, spool, decode, kept_in, advance)
                    kept, dropped = _told(taken, found, kept_in, folder)
                    write_part(folder, i, kept, dropped, input=before, plan=settings.plan)
                else:
                    advance(len(taken))
            for picture_id in read_part(part_at(folder, i), KEPT, ["picture_id"])["picture_id"]:
                kept_in[bytes.fromhex(picture_id)] = i
            i += 1
    check_ends_at(folder, i)
    return totals(folder)


def _take(item: Sourced, spool: Any, settings: PictureSettings) -> _Taken:
    content = item.content
    if isinstance(content, Path):
        digest = digest_of_video(content, settings.media)
        if isinstance(digest, MediaError):
            return _Taken(item.source, _digest_of(digest), digest)
        return _Taken(item.source, digest, content)
    if isinstance(content, bytes):
        start = spool.tell()
        spool.write(content)
        return _Taken(item.source, hashlib.sha256(content).hexdigest(), (start, len(content)))
    return _Taken(item.source, _digest_of(content), content)


def _digest_of(refused: Refused) -> str:
    return hashlib.sha256(f"{refused.reason}\0{refused.detail}".encode(errors="backslashreplace")).hexdigest()


def _chained(before: str, taken: Sequence[_Taken]) -> str:
    told = "".join(f"{item.source}\0{item.digest}\0" for item in taken)
    return hashlib.sha256(f"{before}\0{told}".encode()).hexdigest()


def _id_of(item: _Taken) -> str:
    return item.digest[:_ID_CHARS]


def _decode_new(
    taken: Sequence[_Taken],
    spool: Any,
    decode: Decode,
    kept_in: Mapping[bytes, int],
    advance: Callable[[int], None],
) -> dict[str, Decoded]:
    """What each content that is new comes to, by id."""
    new: dict[str, _Taken] = {}
    for item in taken:
        if not isinstance(item.at, Refused) and bytes.fromhex(_id_of(item)) not in kept_in:
            new.setdefault(_id_of(item), item)
    found: dict[str, Decoded] = {}
    waiting = iter(new.values())
    while some := list(islice(waiting, _AT_ONCE)):
        found |= zip(map(_id_of, some), decode([_content(item, spool) for item in some]), strict=True)
        advance(len(some))
    advance(len(taken) - len(new))
    return found


def _content(item: _Taken, spool: Any) -> bytes | Path:
    if isinstance(item.at, Path):
        return item.at
    assert isinstance(item.at, tuple)
    spool.seek(item.at[0])
    content: bytes = spool.read(item.at[1])
    return content


def _told(
    taken: Sequence[_Taken], found: Mapping[str, Decoded], kept_in: Mapping[bytes, int], folder: Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows kept and the rows dropped, in the source's order."""
    earlier = _earlier_sources(taken, kept_in, folder)
    first: dict[str, str] = {}
    kept: list[tuple[Any, ...]] = []
    dropped: list[tuple[str, str, str]] = []
    for item in taken:
        picture_id = _id_of(item)
        outcome = item.at if isinstance(item.at, Refused) else found.get(picture_id)
        if isinstance(outcome, Refused):
            dropped.append((item.source, outcome.reason.value, outcome.detail))
        elif (same := earlier.get(picture_id) or first.get(picture_id)) is not None:
            dropped.append((item.source, PictureReason.DUPLICATE.value, same))
        else:
            assert outcome is not None
            first[picture_id] = item.source
            frames = [picture.jpeg for picture in outcome]
            kept.append((picture_id, item.source, frames, outcome[0].width, outcome[0].height))
    return pl.DataFrame(kept, schema=dict(KEPT), orient="row"), pl.DataFrame(
        dropped, schema=dict(DROPPED), orient="row"
    )


def _earlier_sources(taken: Sequence[_Taken], kept_in: Mapping[bytes, int], folder: Path) -> dict[str, str]:
    """Where each content is from that an earlier part keeps: read from that part, so that memory holds ids alone."""
    known = {_id_of(item) for item in taken if not isinstance(item.at, Refused)}
    parts = sorted({kept_in[key] for one in known if (key := bytes.fromhex(one)) in kept_in})
    found: dict[str, str] = {}
    for i in parts:
        table = read_part(part_at(folder, i), KEPT, ["picture_id", "source"])
        rows = zip(table["picture_id"], table["source"], strict=True)
        found |= {picture_id: source for picture_id, source in rows if picture_id in known}
    return found
