"""What a cluster must have of topics, what one lacks, and a real one mended; nothing is ever shrunk or dropped."""

import json
import subprocess
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from contracts.topics import TOPICS, VIDEOS_UPLOADED
from streams.kafka.connection import Connection
from streams.kafka.declaring import Cluster
from streams.kafka.topics import VOLUMES, Declaration, Lack, declared, lacking
from streams.stack import precedent
from tests.streams.conftest import needs_kafka

DAY_MS = 86_400_000


def one(name: str, *, brokers: int = 3) -> Declaration:
    return next(d for d in declared(brokers=brokers) if d.name == name)


def lack(have: Declaration, *, brokers: int = 3) -> Lack:
    return lacking([one(have.name, brokers=brokers)], {have.name: have})


def changed(name: str, **settings: str) -> Declaration:
    have = one(name)
    return replace(
        have, settings={**have.settings, **{key.replace("_", "."): value for key, value in settings.items()}}
    )


def test_every_topic_and_its_dead_letters_are_declared_once():
    names = [d.name for d in declared(brokers=1)]
    assert sorted(names) == sorted(name for topic in TOPICS for name in (topic.name, topic.dead))
    assert set(VOLUMES) == set(TOPICS)


def test_three_brokers_keep_three_copies_and_confirm_with_two_of_them():
    assert one("videos.uploaded") == Declaration(
        "videos.uploaded",
        12,
        3,
        {
            "cleanup.policy": "delete",
            "retention.ms": str(7 * DAY_MS),
            "min.insync.replicas": "2",
            "unclean.leader.election.enable": "false",
        },
    )


@pytest.mark.parametrize(("brokers", "copies", "confirm"), [(1, 1, "1"), (2, 2, "1"), (3, 3, "2"), (9, 3, "2")])
def test_copies_go_by_the_size_of_the_cluster(brokers: int, copies: int, confirm: str):
    declaration = one("cases.rulings", brokers=brokers)
    assert (declaration.copies, declaration.settings["min.insync.replicas"]) == (copies, confirm)


def test_small_topics_have_a_part_of_the_partitions_and_at_least_one():
    counts = {d.name: d.partitions for d in declared(brokers=1, partitions=24)}
    assert (counts["videos.verdicts"], counts["users.reports"], counts["cases.opened"]) == (24, 12, 6)
    assert counts["videos.uploaded.dead"] == 1
    assert {d.partitions for d in declared(brokers=1, partitions=1)} == {1}


def test_what_is_as_declared_lacks_nothing():
    assert not lacking(declared(brokers=3), {d.name: d for d in declared(brokers=3)})


def test_what_is_beyond_the_declaration_is_left_alone():
    more = changed("users.reports", retention_ms=str(400 * DAY_MS), min_insync_replicas="3")
    assert not lack(replace(more, partitions=99, copies=5))
    assert not lack(changed("users.reports", retention_ms="-1"))


def test_what_is_missing_is_to_be_created_and_what_is_less_to_be_raised():
    missing = lacking([one("cases.opened")], {})
    assert missing == Lack(topics=(one("cases.opened"),))
    less = replace(changed("users.reports", retention_ms=str(DAY_MS), min_insync_replicas="1"), partitions=2)
    assert lack(less) == Lack(
        partitions={"users.reports": 6},
        settings={"users.reports": {"retention.ms": str(30 * DAY_MS), "min.insync.replicas": "2"}},
    )


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_compacted_topic_is_for_a_person_to_look_at(policy: str):
    found = lack(changed("videos.verdicts", cleanup_policy=policy))
    assert found.settings == {}
    assert found.unmendable[0].startswith(f"videos.verdicts: cleanup.policy == {policy!r}, must be 'delete': ")


def test_too_few_copies_are_for_a_person_and_nothing_is_asked_for_that_they_could_not_confirm():
    alone = replace(changed("videos.verdicts", min_insync_replicas="1"), copies=1)
    found = lack(alone)
    assert found == Lack(
        unmendable=("videos.verdicts: 1 copies of each partition, must be 3: reassign its partitions",)
    )


def run(connection: Connection, *arguments: str) -> tuple[int, dict, str]:
    done = subprocess.run(
        precedent("topics", *arguments),
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin", "PRECEDENT_BROKER": connection.servers},
    )
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.kafka
@needs_kafka
def test_a_real_cluster_is_mended_and_not_shrunk(real: Connection):
    admin = AdminClient(real.client({}))
    name = VIDEOS_UPLOADED.dead
    admin.delete_topics([name])[name].result(timeout=30)
    until_gone(admin, name)
    few = NewTopic(name, 1, 1, config={"retention.ms": str(DAY_MS)})
    admin.create_topics([few])[name].result(timeout=30)

    code, told, words = run(real, "check", "--partitions", "7")
    assert code == 1
    assert told["missing"] == []
    assert told["settings"] == {name: {"retention.ms": str(30 * DAY_MS)}}
    assert told["partitions"]["videos.uploaded"] == 7
    assert words == "precedent: videos.uploaded has less than is declared (7 topics): `precedent topics declare`\n"

    assert run(real, "declare", "--partitions", "7")[0] == 0
    assert not Cluster(real).lack(partitions=7)
    code, told, _ = run(real, "declare", "--partitions", "3")
    assert (code, told) == (
        0,
        {"declared": 18, "missing": [], "partitions": {}, "settings": {}, "for_a_person": []},
    )
    assert Cluster(real).found(["videos.uploaded"])["videos.uploaded"].partitions == 7


@pytest.mark.kafka
@needs_kafka
def test_what_a_person_must_decide_is_named_and_exits_1(real: Connection):
    admin = AdminClient(real.client({}))
    name = "cases.appeals.dead"
    compact(admin, name, "compact")
    try:
        code, told, words = run(real, "declare", "--partitions", "6")
        assert code == 1
        assert len(told["for_a_person"]) == 1
        assert words.startswith(f"precedent: {name}: cleanup.policy == 'compact', must be 'delete'")
    finally:
        compact(admin, name, "delete")


def compact(admin: AdminClient, name: str, policy: str) -> None:
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry

    entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])]
    ).values():
        future.result(timeout=30)


def until_gone(admin: AdminClient, name: str) -> None:
    from tests.streams.watching import until

    until(lambda: name not in admin.list_topics(timeout=10).topics)
