"""Many videos -> their clips on disk, in several processes.

Each clip depends on its own seed alone, so that the number of processes changes nothing. The processes are spawned
and end with their parent, however it ends.
"""

import ctypes
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

import numpy as np

from simulation.latents import Latents, Leaning
from simulation.pictures.clips import ClipSize, draw_format, film_clip
from simulation.pictures.scenes import BENIGN_SCENES, SHARED_SCENES, Scene
from simulation.pictures.violations import CATEGORY_SCENES

_BATCH = 16
_PR_SET_PDEATHSIG = 1
Job = tuple[Latents, Path]


def chance_of(latents: Latents, seed: int) -> np.random.Generator:
    """The picture's own chance: one video films the same whoever films it, in any order."""
    return np.random.default_rng([seed, 1, latents.number])


def choose_scene(latents: Latents, rng: np.random.Generator) -> Scene:
    """What is filmed, from what the picture leans to."""
    if latents.picture is Leaning.VIOLATIVE:
        return CATEGORY_SCENES[latents.about]
    scenes = BENIGN_SCENES if latents.picture is Leaning.BENIGN else SHARED_SCENES
    return scenes[rng.integers(len(scenes))]


def film_all(
    jobs: Iterable[Job],
    *,
    seed: int,
    size: ClipSize | None,
    workers: int,
    on_filmed: Callable[[int], None] | None = None,
) -> None:
    """Film each video to its path; `on_filmed` is told how many were just done."""
    done = on_filmed or (lambda _: None)
    batches = _in_batches(jobs)
    if workers <= 1:
        for batch in batches:
            done(film_batch(batch, seed, size))
        return
    with ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
        initargs=(os.getpid(),),
    ) as pool:
        waiting: set[Future[int]] = set()
        try:
            for batch in batches:
                waiting.add(pool.submit(film_batch, batch, seed, size))
                if len(waiting) >= 4 * workers:
                    waiting = _collect(waiting, done)
            while waiting:
                waiting = _collect(waiting, done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def film_batch(batch: list[Job], seed: int, size: ClipSize | None) -> int:
    """Film some videos in this process; returns how many."""
    for latents, target in batch:
        rng = chance_of(latents, seed)
        scene = choose_scene(latents, rng)
        film_clip(target, scene, draw_format(rng, size), rng)
    return len(batch)


def _collect(waiting: set["Future[int]"], done: Callable[[int], None]) -> set["Future[int]"]:
    ready, left = wait(waiting, return_when=FIRST_COMPLETED)
    for future in ready:
        done(future.result())
    return left


def _in_batches(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    rest = iter(jobs)
    while batch := list(itertools.islice(rest, _BATCH)):
        yield batch


def _end_with_parent(parent: int) -> None:
    """Ctrl-C ends the parent, which ends us; if it is killed, the kernel does (Linux)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
