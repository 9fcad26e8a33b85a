"""Judged samples in, instruction data out: LLaVA conversations with their pictures, and a `datasets` folder.

OUT/conversations.json   a list of {"id", "image", "conversations"}, as LLaVA is tuned on (arXiv 2304.08485)
OUT/images/ab/ID.jpg     the frames that they name; of a video ID-0.jpg, ID-1.jpg and so on, one mark a frame
OUT/datasets             the same rows for `datasets.load_from_disk`, frames inside; where it is asked for

OUT is written beside its place and renamed; parts are read one by one, so that memory holds one of them.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from contracts.errors import BadInputError
from policy.growth.parts import digest_of_part, parts_of, read_part
from policy.growth.samples.referee import KEPT as JUDGED
from policy.growth.samples.strike import frames_beside

CONVERSATIONS, IMAGES, DATASETS = "conversations.json", "images", "datasets"
MARK = "<image>"
COLUMNS = ["sample_id", "picture_id", "question", "answer"]


class Exported(NamedTuple):
    """How many samples there are, and of how many pictures."""

    samples: int
    pictures: int


def export(
    home: Path, out: Path, *, datasets: bool = False, advance: Callable[[int], None] = lambda _: None
) -> Exported:
    """Write all samples that the referees let pass, in the order of the parts.

    Raises `BadInputError` where `out` is there already, or nothing was judged or let pass.
    """
    if out.exists():
        raise BadInputError(f"{out}: is there already, must be a new folder")
    parts = parts_of(home / "judged")
    if not parts:
        raise BadInputError(f"{home / 'judged'}: holds no part, `precedent taxonomy referee` makes them")
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / IMAGES).mkdir(parents=True)
    try:
        done = _write_conversations(home, parts, draft, advance)
        if not done.samples:
            raise BadInputError(f"{home / 'judged'}: holds no sample that was let pass, there must be one to export")
        if datasets:
            _write_datasets(home, parts, draft)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return done


def _write_conversations(home: Path, parts: list[Path], draft: Path, advance: Callable[[int], None]) -> Exported:
    samples, pictures = 0, 0
    with (draft / CONVERSATIONS).open("wb") as out:
        out.write(b"[")
        for part in parts:
            frames = frames_beside(home, part)
            written = set[str]()
            for sample_id, picture_id, question, answer in read_part(part, JUDGED, COLUMNS).iter_rows():
                names = names_of(picture_id, len(frames[picture_id]))
                if picture_id not in written:
                    written.add(picture_id)
                    for name, jpeg in zip(names, frames[picture_id], strict=True):
                        path = draft / IMAGES / name
                        path.parent.mkdir(exist_ok=True)
                        path.write_bytes(jpeg)
                out.write(b",\n" if samples else b"\n")
                out.write(orjson.dumps(conversation(sample_id, names, question, answer)))
                samples += 1
            pictures += len(written)
            advance(1)
        out.write(b"\n]\n")
        out.flush()
        os.fsync(out.fileno())
    return Exported(samples, pictures)


def names_of(picture_id: str, n_frames: int) -> list[str]:
    """Where the frames of a picture lie below the images."""
    stem = f"{picture_id[:2]}/{picture_id}"
    return [f"{stem}.jpg"] if n_frames == 1 else [f"{stem}-{number}.jpg" for number in range(n_frames)]


def conversation(sample_id: str, names: list[str], question: str, answer: str) -> dict[str, Any]:
    """A sample in the LLaVA form: one picture is named alone, several as a list, each with its mark."""
    return {
        "id": sample_id,
        "image": names[0] if len(names) == 1 else names,
        "conversations": turns(len(names), question, answer),
    }


def turns(n_frames: int, question: str, answer: str) -> list[dict[str, str]]:
    marks = "\n".join([MARK] * n_frames)
    return [{"from": "human", "value": f"{marks}\n{question}"}, {"from": "gpt", "value": answer}]


def _write_datasets(home: Path, parts: list[Path], draft: Path) -> None:
    from datasets import Dataset, Features, Image, List, Value, disable_progress_bars, enable_progress_bars

    def rows() -> Iterator[dict[str, Any]]:
        for part in parts:
            frames = frames_beside(home, part)
            for sample_id, picture_id, question, answer in read_part(part, JUDGED, COLUMNS).iter_rows():
                shown = [{"bytes": jpeg, "path": None} for jpeg in frames[picture_id]]
                yield {"id": sample_id, "image": shown, "conversations": turns(len(shown), question, answer)}

    features = Features(
        id=Value("string"), image=List(Image()), conversations=List({"from": Value("string"), "value": Value("string")})
    )
    disable_progress_bars()
    try:
        # named by what is in it: its own fingerprint is of this code and of where the folder lies
        content = hashlib.sha256("".join(map(digest_of_part, parts)).encode()).hexdigest()[:16]
        table = Dataset.from_generator(rows, features=features, cache_dir=str(draft / ".cache"), fingerprint=content)
        table.save_to_disk(str(draft / DATASETS))
    finally:
        enable_progress_bars()
    shutil.rmtree(draft / ".cache")
