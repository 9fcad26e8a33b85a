"""The warehouse recomputes assignments bit for bit, so that an analyst can check who should have been in which arm."""

import random
import string

import pytest

from ab_tests.assignment import assign, bucket, edges
from tests.ab_tests.samples import experiment, split
from warehouse.address import Client

LETTERS = string.ascii_letters + string.digits + "_.:-"


@pytest.fixture(scope="module")
def users() -> list[str]:
    rng = random.Random(11)
    return [f"user-{i}" for i in range(2_000)] + [
        "".join(rng.choices(LETTERS, k=length)) for length in range(1, 129) for _ in range(8)
    ]


def test_buckets_and_arms_in_sql_are_those_of_the_ranker(database: Client, users: list[str]) -> None:
    one = experiment(layer="feed", salt="a:salt", buckets=[1_000, 9_000], variants=split(1 / 3, 1 / 3, 1 - 2 / 3))
    rows = database.query(
        """
        SELECT experiment_bucket({layer:String}, user_id) AS bucket,
               if(bucket >= {low:UInt32} AND bucket < {high:UInt32},
                  arrayFirstIndex(edge -> experiment_point({salt:String}, user_id) < edge, {edges:Array(UInt64)}) - 1,
                  -1) AS variant
        FROM (SELECT arrayJoin({users:Array(String)}) AS user_id)
        """,
        {
            "layer": one.layer,
            "salt": one.salt,
            "low": one.buckets[0],
            "high": one.buckets[1],
            "edges": edges(one).tolist(),
            "users": users,
        },
    ).result_rows
    assert [row[0] for row in rows] == bucket(one.layer, users).tolist()
    assert [row[1] for row in rows] == assign(one, users).tolist()
    assert {row[1] for row in rows} == {-1, 0, 1, 2}
