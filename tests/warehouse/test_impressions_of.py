"""How often given videos were shown, counted by hand."""

from contracts.viewers import Impression
from tests.warehouse.viewers import at, impression
from warehouse.address import Client
from warehouse.impressions import impressions_of
from warehouse.sink import EventSink


def test_impressions_of_given_videos_count_once_and_in_their_time_alone(database: Client) -> None:
    shown = [
        impression(1, "ann", video_id="v1"),
        impression(2, "bob", video_id="v1", day=0.1),
        impression(3, "bob", video_id="v1", day=-9.0),
        impression(4, "bob", video_id="v2"),
        impression(5, "bob", video_id="odd.-_:id"),
    ]
    for _ in range(2):
        EventSink(database, Impression).insert(shown)
    asked = ["v1", "odd.-_:id", "never"]
    assert impressions_of(database, asked, since=at(-1.0), as_of=at(1.0)) == {"v1": 2, "odd.-_:id": 1}
    assert impressions_of(database, [], since=at(-1.0), as_of=at(1.0)) == {}
