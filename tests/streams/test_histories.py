"""From rows of the warehouse to features that a recommender can look up."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.taxonomy import Category
from contracts.verdicts import Decision
from contracts.viewers import Impression, Surface
from features.config import FeaturesConfig
from features.histories import materialise
from features.lookup import Freshness, lookup_authors, lookup_viewer
from features.online.rows import Written
from features.store import open_store
from tests.warehouse.owners import running_owner
from tests.warehouse.samples import START, verdict
from warehouse.address import connect
from warehouse.histories import CountedPast
from warehouse.migrate import migrate
from warehouse.sink import EventSink, VerdictSink


def test_what_the_warehouse_counted_is_looked_up_and_an_older_count_changes_nothing(tmp_path: Path):
    now = datetime.now(UTC)
    config = FeaturesConfig.from_environment({"PRECEDENT_ONLINE_STORE": f"sqlite:///{tmp_path}/online.db"})
    with running_owner(tmp_path / "data", tmp_path / "log") as owner:
        migrate(owner.address)
        client = connect(owner.address)
        VerdictSink(client).insert(
            [
                verdict(n, author_id="a", decision=Decision.REMOVE, category=Category.PLAGIARISM, candidate=None)
                for n in range(4)
            ]
        )
        left = Impression(
            event_id="i",
            user_id="u",
            video_id="v",
            session_id="s",
            shown_at=START,
            surface=Surface.SEARCH,
            watch_ms=100,
            toxicity=0.9,
        )
        EventSink(client, Impression).insert([left])

        past = CountedPast(client)
        new = asyncio.run(materialise(past, config, as_of=now, now=now))
        assert (new.authors, new.viewers) == (Written(1, 0), Written(1, 0))
        old = asyncio.run(materialise(past, config, as_of=START + timedelta(seconds=1), now=now))
        assert (old.authors, old.viewers) == (Written(0, 1), Written(0, 1))
        client.close()
    store = open_store(config)
    authors = lookup_authors(store, ["a"], now)
    viewer = lookup_viewer(store, "u", now)
    assert authors.state_N[0] == viewer.state == Freshness.FRESH
    assert authors.violative_share_N[0] == pytest.approx((4 + 1) / (4 + 20))
    assert viewer.tolerance == pytest.approx(1 - (1 + 2) / (1 + 4))
