"""Latents -> events, clips, ground truth and decided cases, as files.

draw_latents -> say ---------> VideoUploaded -> uploads.jsonl
             -> film_clip ---> media/<video id>.mp4
             -> Truth -------> truth.jsonl      (apart: no event holds a label, nor an id made from one)
             -> DecidedCase -> cases.jsonl      (to train from, where asked for)
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from contracts.cases import DecidedCase
from contracts.errors import BadInputError
from contracts.reasoning import render_states
from contracts.records import Id, Probability, Record
from contracts.taxonomy import Category
from contracts.videos import VideoUploaded
from simulation.filming import chance_of, choose_scene, film_all
from simulation.latents import FIRST_UPLOAD, Latents, Leaning, draw_latents
from simulation.lines import folder_to_write, write_lines
from simulation.pictures.clips import ClipSize
from simulation.pictures.scenes import Scene
from simulation.reasons import reason
from simulation.words.grammar import say

POOL_SIZE = 4_096
RULED_AFTER = timedelta(hours=6)


class Truth(Record):
    """What a simulated video truly is, and what each modality gives away; never part of an event."""

    video_id: Id
    category: Category
    words: Leaning
    picture: Leaning
    about: Category
    scene: str
    language: Literal["zh", "en"]
    propensity: Probability


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to simulate: how many videos, from which seed, with which clips (`size` None: the usual mixture).

    plain: only videos whose words and picture both say what they are. only: of the violative ones, these categories
    alone, all of them where it is empty.
    """

    n: int
    seed: int
    media: bool = True
    size: ClipSize | None = None
    as_cases: bool = False
    plain: bool = False
    only: tuple[Category, ...] = ()


def to_upload(
    latents: Latents,
    seed: int,
    media: Path | None,
    *,
    book: Mapping[str, Any] | None = None,
    framed: float | None = None,
) -> VideoUploaded:
    """The event, from what an uploader and the viewers show; the clip at `media` need not exist yet.

    `book` and `framed`: see `say`.
    """
    words = say(latents, seed, book=book, framed=framed)
    nothing_said = words.title is None and words.ocr is None and words.asr is None
    return VideoUploaded(
        event_id=latents.event_id,
        video_id=latents.video_id,
        author_id=latents.author_id,
        occurred_at=latents.occurred_at,
        title="" if nothing_said and media is None else words.title,
        ocr=words.ocr,
        asr=words.asr,
        media_url=media.as_uri() if media is not None else None,
        feedback=latents.feedback,
    )


def to_truth(latents: Latents, seed: int, *, scene: Scene | None = None) -> Truth:
    """What it is; `scene` where something else than a usual video's is filmed."""
    filmed = choose_scene(latents, chance_of(latents, seed)) if scene is None else scene
    return Truth(
        video_id=latents.video_id,
        category=latents.category,
        words=latents.words,
        picture=latents.picture,
        about=latents.about,
        scene=filmed.name,
        language="zh" if latents.chinese else "en",
        propensity=latents.propensity,
    )


def to_case(upload: VideoUploaded, truth: Truth) -> DecidedCase:
    """A reviewer without error rules what is true, and says why."""
    told = reason(
        truth.category,
        words=truth.words,
        picture=truth.picture,
        about=truth.about,
        scene=truth.scene,
        feedback=upload.feedback,
    )
    return DecidedCase(
        case_id=f"case-{upload.video_id}",
        upload=upload,
        category=truth.category,
        reasoning=render_states(told),
        decided_at=upload.occurred_at + RULED_AFTER,
    )


def write_uploads(
    out: Path, simulation: Simulation, *, workers: int = 1, on_filmed: Callable[[int], None] | None = None
) -> None:
    """Write the simulation's files under `out`; the same simulation writes the same events and frames.

    `on_filmed` is told how many clips were just done. The lists are written last, so that what they name is there.
    Raises `BadInputError` when `out` cannot be written to.
    """
    folder = folder_to_write(out)
    videos = chosen_latents(simulation)
    paths = [folder / "media" / f"{video.video_id}.mp4" if simulation.media else None for video in videos]
    if simulation.media:
        folder_to_write(folder / "media")
        film_all(
            ((video, path) for video, path in zip(videos, paths, strict=True) if path is not None),
            seed=simulation.seed,
            size=simulation.size,
            workers=workers,
            on_filmed=on_filmed,
        )
    uploads = [to_upload(video, simulation.seed, path) for video, path in zip(videos, paths, strict=True)]
    truths = [to_truth(video, simulation.seed) for video in videos]
    write_lines(folder / "truth.jsonl", truths)
    if simulation.as_cases:
        write_lines(folder / "cases.jsonl", (to_case(u, t) for u, t in zip(uploads, truths, strict=True)))
    write_lines(folder / "uploads.jsonl", uploads)


def chosen_latents(simulation: Simulation) -> list[Latents]:
    """The videos of a simulation: its n first ones that are of what it wants.

    Raises `BadInputError` where so few are that thirty times as many were drawn in vain.
    """
    if not simulation.plain and not simulation.only:
        return list(draw_latents(simulation.n, simulation.seed))
    drawn = draw_latents(30 * simulation.n, simulation.seed)
    found = list(islice((one for one in drawn if _wanted(one, simulation)), simulation.n))
    if len(found) < simulation.n:
        raise BadInputError(f"n == {simulation.n}, only {len(found)} such videos among {30 * simulation.n}")
    return found


def _wanted(latents: Latents, simulation: Simulation) -> bool:
    told = latents.words is latents.picture is not Leaning.SHARED
    named = latents.category in (*simulation.only, Category.POSITIVE)
    return (told or not simulation.plain) and (named or not simulation.only)


def text_uploads(
    n: int, seed: int, *, start: datetime = FIRST_UPLOAD, uploads_per_s: float = 1_000.0
) -> Iterator[VideoUploaded]:
    """Yield n uploads without media, fast: new ids and times around a pool of 4,096 videos' words."""
    pool = [to_upload(video, seed, None) for video in draw_latents(min(n, POOL_SIZE), seed)]
    step = timedelta(seconds=1.0 / uploads_per_s)
    for number in range(n):
        words = pool[number % len(pool)]
        yield VideoUploaded.model_construct(
            event_id=f"t{seed:x}-{number:09x}",
            video_id=f"w{seed:x}-{number:09x}",
            author_id=words.author_id,
            occurred_at=start + number * step,
            title=words.title,
            ocr=words.ocr,
            asr=words.asr,
            media_url=None,
            picture_count=None,
            feedback=words.feedback,
        )
