"""The releases root as the clerk reads it: what each release that judged reads, its line, and what serves now."""

import logging
from itertools import chain
from pathlib import Path

import polars as pl

from contracts.errors import BadInputError
from contracts.releases import Pin, Release
from serving.releases import PRECEDENTS, ReleasesRoot

log = logging.getLogger(__name__)


class ReleaseShelf:
    """Releases by version, each read once: folders are immutable."""

    def __init__(self, path: Path) -> None:
        self.root = ReleasesRoot(path)
        self._read: dict[int, Release] = {}
        self._missed: set[int] = set()
        self._cited: tuple[Pin, frozenset[str]] | None = None

    def release(self, version: int) -> Release:
        """The release of a version; the live one, and a word in the log, where its folder is gone or damaged.

        Raises `BadInputError` where there is no live one either.
        """
        if version not in self._read:
            try:
                self._read[version] = self.root.open(version, verify=False).release
            except BadInputError as error:
                live = self.root.read_pointer().live.release_version
                if version == live:
                    raise
                if version not in self._missed:
                    self._missed.add(version)
                    log.error(
                        "ALERT verdicts of release %d are held to the line of release %d: %s", version, live, error
                    )
                return self.release(live)
        return self._read[version]

    def versions(self) -> set[int]:
        """The versions that lie in the root now."""
        homes = (self.root.path / "releases").glob("[0-9]*")
        return {int(home.name) for home in homes if home.name.isdigit()}

    def live(self) -> Pin:
        """What serves now; raises `BadInputError` where nothing does."""
        return self.root.read_pointer().live

    def precedents(self, pin: Pin) -> frozenset[str]:
        """Ids of the cases that a pin knows by casebook or training; raises `BadInputError` where a file lacks them."""
        if self._cited is None or self._cited[0] != pin:
            folder, model = self.root.open_pin(pin)
            files = {folder.precedents, folder.taught, model.with_name(PRECEDENTS)}
            self._cited = pin, frozenset(chain.from_iterable(map(_case_ids, files)))
        return self._cited[1]


def _case_ids(path: Path) -> list[str]:
    try:
        return pl.read_parquet(path, columns=["case_id"])["case_id"].to_list()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInputError(f"{path}: does not name its cases: {str(error).splitlines()[0]}") from error
