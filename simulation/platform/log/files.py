"""A world's days in, files out: its events by topic, and apart from them what is true.

OUT/events/impressions.parquet, reports, sessions, exposures      (or .jsonl: a line an event, as on its topic)
OUT/experiment.json                                               the experiment that the exposures name
OUT/truth/viewers.parquet, videos.parquet, settings.json, users.parquet
"""

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import BadInputError
from contracts.experiments import Experiment
from contracts.taxonomy import CATEGORIES
from simulation.lines import folder_to_write
from simulation.platform.day import Day
from simulation.platform.log.columns import EventColumns, events_of, json_lines
from simulation.platform.log.totals import UserTotals
from simulation.platform.population import Population

Format = Literal["parquet", "jsonl"]


class Written(NamedTuple):
    """How many events of each kind were written."""

    impressions: int
    reports: int
    sessions: int
    exposures: int


def write_events(
    out: Path,
    days: Iterable[Day],
    population: Population,
    experiment: Experiment,
    *,
    form: Format = "parquet",
    observe: Callable[[Day], object] = lambda _: None,
) -> Written:
    """Write the events of all days under `out`/events, a day at a time; files appear whole or not at all.

    `observe` is shown each day once it is written. Raises `BadInputError` when `out` cannot be written to.
    """
    folder = folder_to_write(out / "events")
    (folder.parent / "experiment.json").write_text(experiment.model_dump_json(indent=2) + "\n", encoding="utf-8")
    counts = np.zeros(len(EventColumns._fields), np.int64)
    partial = {name: folder / f"{name}.{form}.partial" for name in EventColumns._fields}
    with ExitStack() as open_files:
        appends: dict[str, Callable[[pa.Table], None]] = {}
        for day in days:
            tables = events_of(day, population, experiment)
            for place, (name, table) in enumerate(zip(EventColumns._fields, tables, strict=True)):
                if name not in appends:
                    appends[name] = _open(partial[name], form, table.schema, open_files)
                appends[name](table)
                counts[place] += table.num_rows
            observe(day)
    for name, path in partial.items():
        path.replace(folder / f"{name}.{form}")
    return Written(*counts.tolist())


def write_truth(out: Path, population: Population, worlds: dict[str, UserTotals]) -> None:
    """Write what no event holds: settings, viewers, videos, and each user's sums in each of `worlds`."""
    folder = folder_to_write(out / "truth")
    viewers, videos, seed = population.viewers, population.videos, population.plan.seed
    users = pa.array(population.plan.user_ids)
    settings = asdict(population.settings)
    (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    of_viewers = {
        "user_id": users,
        "tolerance": viewers.tolerance_N,
        "zeal": viewers.zeal_N,
        "reports_in_bad_faith": viewers.lone_N,
        "brigade": pa.array(viewers.brigade_N, mask=viewers.brigade_N < 0),
        "joined_on": viewers.joined_on_N,
    }
    of_videos = {
        "video_id": [f"v{seed}-{number}" for number in range(len(videos))],
        "uploaded_on": videos.uploaded_on_M,
        "category": pa.array([one.value for one in CATEGORIES]).take(pa.array(videos.category_M)),
        "toxicity": videos.toxicity_M,
        "score_at_upload": pa.array(videos.score_M, mask=np.isnan(videos.score_M)),
    }
    lived = [
        {"world": pa.array([name] * len(users)), "user_id": users}
        | {one.name: pa.array(getattr(totals, one.name)) for one in fields(UserTotals)}
        for name, totals in worlds.items()
    ]
    pq.write_table(pa.table(of_viewers), folder / "viewers.parquet")
    pq.write_table(pa.table(of_videos), folder / "videos.parquet")
    pq.write_table(pa.concat_tables([pa.table(one) for one in lived]), folder / "users.parquet")


def _open(path: Path, form: Format, schema: pa.Schema, open_files: ExitStack) -> Callable[[pa.Table], None]:
    """A function that appends a table to a new file."""
    try:
        if form == "parquet":
            append: Callable[[pa.Table], None]
            append = open_files.enter_context(pq.ParquetWriter(path, schema, compression="zstd")).write_table
            return append
        lines: BinaryIO = open_files.enter_context(path.open("wb"))
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}, must be a file to write to") from error
    return lambda table: lines.writelines(line + b"\n" for line in json_lines(table))
