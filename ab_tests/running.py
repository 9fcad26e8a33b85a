"""Experiments that run on a day in, a report of each out: what `precedent ab analyse` and `ab report` call."""

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ab_tests.results import Correction
from contracts.errors import BadInputError
from contracts.experiments import Experiment

if TYPE_CHECKING:
    from ab_tests.report.reading import Blocked
    from ab_tests.results import Analysis
    from warehouse.address import WarehouseAddress


class Reported(NamedTuple):
    """The pages about one experiment through a day; `blocked` says why nothing may be concluded from its data."""

    experiment_id: str
    through: date
    html: Path
    markdown: Path
    blocked: str | None


def analyse_stored(
    address: "WarehouseAddress",
    experiment: Experiment,
    *,
    through: date,
    correction: Correction = "fdr",
    planned_days: int | None = None,
    tick: Callable[[], object] = lambda: None,
) -> "Analysis":
    """Analyse an experiment on what the warehouse holds; raises as `analysis.analyse` and `warehouse_tables` do."""
    from ab_tests.analysis import analyse, metrics_of
    from ab_tests.population import reader, warehouse_tables

    read = reader(warehouse_tables(address, experiment), metrics_of(experiment))
    return analyse(experiment, read, through=through, correction=correction, planned_days=planned_days, tick=tick)


def report(address: "WarehouseAddress", experiment: Experiment, folder: Path, *, through: date) -> Reported:
    """Write `folder/<through>/<experiment>.html` and `.md`, whole or not at all; again writes the same pages anew.

    Data that fail a check are no error here: the pages say what is known all the same, and the result why no more is.
    """
    from ab_tests.population import BlockedError
    from ab_tests.report.reading import Blocked

    finding: Analysis | Blocked
    blocked = None
    try:
        finding = analyse_stored(address, experiment, through=through)
    except BlockedError as error:
        blocked = str(error)
        finding = Blocked(experiment, through, blocked, error.sample_ratio, error.population)
    place = folder / str(through)
    name = experiment.experiment_id
    reported = Reported(name, through, place / f"{name}.html", place / f"{name}.md", blocked)
    beside = [path.with_name(f".{path.name}.writing") for path in (reported.html, reported.markdown)]
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(f"{place}: cannot be written: {error.strerror}") from error
    write_pages(finding, html=beside[0], markdown=beside[1])
    for written, path in zip(beside, (reported.html, reported.markdown), strict=True):
        os.replace(written, path)
    return reported


def write_pages(finding: "Analysis | Blocked", *, html: Path | None, markdown: Path | None) -> None:
    """Write the report to the files that are given; raises `BadInputError` where nothing can be written."""
    from ab_tests.report.markdown import to_markdown
    from ab_tests.report.page import write_html

    if html:
        write_html(finding, html)
    if markdown:
        try:
            markdown.write_text(to_markdown(finding), encoding="utf-8")
        except OSError as error:
            raise BadInputError(f"{markdown}: cannot be written: {error.strerror}") from error
