"""`precedent features` as a user types it, and the addresses it reads."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from contracts.errors import BadInputError
from features.config import FeaturesConfig
from features.store import OpenStore, open_store
from streams.commands.features import features
from tests.features.conftest import NOON, verdict
from tests.features.test_lookup import write


def call(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(
        features,
        list(words),
        env={
            "PRECEDENT_ONLINE_STORE": f"sqlite:///{folder}/online.db",
            "PRECEDENT_OFFLINE_STORE": f"parquet:///{folder}/history",
            "PRECEDENT_FEATURES_WRITER": "",
            "PRECEDENT_FEATURES_REGISTRY": "",
        },
        catch_exceptions=False,
    )


def test_lookup_prints_a_line_per_video_with_its_state(tmp_path: Path) -> None:
    assert json.loads(call(tmp_path, "apply").stdout)["views"] == [
        "author_history", "video_toxicity", "viewer_sensitivity",
    ]  # fmt: skip
    config = FeaturesConfig(online=f"sqlite:///{tmp_path}/online.db", offline=f"parquet:///{tmp_path}/history")
    write(open_store(config), [verdict("video-1", toxicity=0.25)])
    lines = call(tmp_path, "lookup", "video-1", "video-2").stdout.splitlines()
    known, unknown = map(json.loads, lines)
    assert known["video_id"] == "video-1"
    assert known["state"] in {"fresh", "expired"}
    assert known["toxicity"] == 0.25
    assert known["occurred_at"] == NOON.isoformat()
    assert unknown == {"video_id": "video-2", "state": "unknown"}


def test_lookup_reads_redis_by_its_address_alone(tmp_path: Path, redis_store: OpenStore) -> None:
    write(redis_store, [verdict("video-of-commands", toxicity=0.25)])
    environment = {
        "PRECEDENT_ONLINE_STORE": redis_store.config.online,
        "PRECEDENT_OFFLINE_STORE": f"parquet:///{tmp_path}/history",
        "PRECEDENT_FEATURES_REGISTRY": f"{tmp_path}/registry",
    }
    said = CliRunner().invoke(features, ["lookup", "video-of-commands", "video-never"], env=environment)
    known, unknown = map(json.loads, said.stdout.splitlines())
    assert (known["toxicity"], unknown["state"]) == (0.25, "unknown")


def test_redis_needs_no_writer_process() -> None:
    with pytest.raises(BadInputError, match="Redis needs no writer of its own"):
        CliRunner().invoke(
            features,
            ["writer"],
            env={"PRECEDENT_ONLINE_STORE": "redis://:secret@127.0.0.1:6379"},
            catch_exceptions=False,
        )


@pytest.mark.parametrize("video_id", ["", "a b", "a\nb", "\udcff", "v" * 129])
def test_an_id_that_no_video_can_have_is_refused(tmp_path: Path, video_id: str) -> None:
    with pytest.raises(BadInputError, match=r"VIDEO_ID == .*, must be 1 to 128 of letters") as refused:
        call(tmp_path, "lookup", "video-1", video_id)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        ({"online": "redis://:secret@h:port"}, r"online store == 'redis://h': must be a URL, its port"),
        ({"online": "redis://:secret@"}, r"online store == 'redis://': must name a host"),
        ({"online": "redsi://:secret@h:1"}, r"online store == 'redsi://h:1', must be sqlite"),
        (
            {"online": "redis://h:1?password=secret"},
            r"online store == 'redis://h:1': option 'password', must be one of",
        ),
        ({"online": "redis://h:1?ssl_ca_certs=secret"}, r"option 'ssl_ca_certs', must be .* \(rediss:// only\)"),
        ({"online": "redis://:secret@h:1/three"}, r"online store == 'redis://h:1/three': database == 'three', must be"),
        ({"offline": "http://u:secret@h:99999/d"}, "offline store: must be a URL, its port at most 65535"),
    ],
)
def test_an_address_that_names_no_server_is_refused_without_its_password(
    addresses: dict[str, str], reason: str
) -> None:
    with pytest.raises(BadInputError, match=reason) as refused:
        FeaturesConfig(**addresses)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("command", ["lookup", "apply", "writer"])
def test_every_command_shows_a_working_example(command: str) -> None:
    shown = CliRunner().invoke(features, [command, "--help"]).stdout
    assert "Example:\n" in shown
    assert f"precedent features {command}" in shown


def test_addresses_come_from_the_environment() -> None:
    config = FeaturesConfig.from_environment(
        {
            "PRECEDENT_ONLINE_STORE": "redis://user:secret@cache:6380/2",
            "PRECEDENT_OFFLINE_STORE": "http://reader:secret@warehouse:8123/precedent",
        }
    )
    assert config.redis_url == "redis://user:secret@cache:6380/2"
    assert config.shown_online == "redis://cache:6380/2"
    assert config.history_folder is None


def test_the_online_store_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "online-store"
    file.write_text("redis://:secret@cache:6380\n")
    config = FeaturesConfig.from_environment({"PRECEDENT_ONLINE_STORE_FILE": str(file)})
    assert config.redis_url == "redis://:secret@cache:6380"
    assert "secret" not in repr(config)
    with pytest.raises(BadInputError, match=r"_FILE == '.*/gone': No such file or directory"):
        FeaturesConfig.from_environment({"PRECEDENT_ONLINE_STORE_FILE": f"{tmp_path}/gone"})
    with pytest.raises(BadInputError, match="are both given"):
        FeaturesConfig.from_environment({"PRECEDENT_ONLINE_STORE_FILE": str(file), "PRECEDENT_ONLINE_STORE": "a"})


def test_the_warehouse_is_the_offline_store_unless_another_is_named() -> None:
    warehouse = {"PRECEDENT_WAREHOUSE": "http://reader:secret@warehouse:8123/precedent"}
    assert FeaturesConfig.from_environment(warehouse).offline == warehouse["PRECEDENT_WAREHOUSE"]
    both = {**warehouse, "PRECEDENT_OFFLINE_STORE": "parquet:///history"}
    assert FeaturesConfig.from_environment(both).offline == "parquet:///history"
    assert FeaturesConfig.from_environment({}).offline == FeaturesConfig().offline


def test_a_store_opened_on_another_offline_store_is_registered_anew(tmp_path: Path) -> None:
    config = FeaturesConfig(online=f"sqlite:///{tmp_path}/online.db", offline=f"parquet:///{tmp_path}/history")
    first = open_store(config)
    registered = config.registry_path.read_bytes()
    open_store(config)
    assert config.registry_path.read_bytes() == registered
    moved = replace(config, offline=f"parquet:///{tmp_path}/elsewhere")
    source = open_store(moved).feast.get_feature_view("video_toxicity").batch_source
    assert source.path == f"{tmp_path}/elsewhere/video_toxicity.parquet"
    warehouse = replace(config, offline="http://reader:secret@127.0.0.1:1/precedent")
    source = open_store(warehouse).feast.get_feature_view("video_toxicity").batch_source
    assert source.get_table_query_string() == "video_toxicity"
    assert first.config == config


def test_three_slashes_are_relative_and_four_absolute() -> None:
    assert FeaturesConfig(online="sqlite:///state/online.db").sqlite_path == Path.cwd() / "state/online.db"
    absolute = FeaturesConfig(online="sqlite:////tmp/online.db")
    assert absolute.sqlite_path == Path("/tmp/online.db")
    assert absolute.registry_path == Path("/tmp/online.db.registry")


@pytest.mark.parametrize(
    ("addresses", "place"),
    [
        ({"online": "mysql://127.0.0.1"}, "online store == 'mysql://127.0.0.1'"),
        ({"online": "sqlite://"}, "online store == 'sqlite://'"),
        ({"online": "online.db"}, "online store == 'online.db'"),
        ({"offline": "s3://bucket"}, "offline store == 's3://bucket'"),
    ],
)
def test_an_address_that_names_no_store_is_refused(addresses: dict[str, str], place: str) -> None:
    with pytest.raises(BadInputError, match=place):
        FeaturesConfig(**addresses)  # type: ignore[arg-type]
