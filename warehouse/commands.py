"""`precedent warehouse`: own an embedded warehouse in the foreground, or look after one: schema, days, erasure."""

import json
import logging
import os
import secrets
import sys
from datetime import date, datetime
from pathlib import Path

import click

from contracts.errors import BadInputError, CheckFailedError
from contracts.secrets import secret_in
from warehouse.address import DEFAULT_DATABASE, VARIABLE, WarehouseAddress, address_in, parse_address

_DEFAULT_PATH = Path(".state/warehouse")
_DEFAULT_USER = "precedent"
# A day of a large platform is summed, or a heavy user's parts are rewritten, well within it.
_LONG_S = 3_600.0
_DAY = click.DateTime(["%Y-%m-%d"])


def _given_address() -> WarehouseAddress | None:
    text = secret_in(os.environ, VARIABLE)
    return parse_address(text) if text else None


@click.group(invoke_without_command=True)
@click.option("--path", type=click.Path(path_type=Path, file_okay=False), default=_DEFAULT_PATH, show_default=True)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Interface to listen on; it is plain HTTP, keep it on loopback.",
)
@click.option("--port", type=click.IntRange(0, 65_535), default=0, show_default=True, help="0 takes a free one.")
@click.option("--max-body-mb", type=click.IntRange(1), default=256, show_default=True, help="Largest request body.")
@click.option(
    "--max-memory-mb",
    type=click.IntRange(256),
    envvar="PRECEDENT_WAREHOUSE_MEMORY_MB",
    show_envvar=True,
    help="What the engine may allocate; one query two thirds of it.  [default: two fifths of the machine's memory]",
)
@click.option("--max-queries", type=click.IntRange(1), default=32, show_default=True, help="Statements at a time.")
@click.option(
    "--queue-s", type=click.FloatRange(0), default=30.0, show_default=True, help="Longest wait for one's turn."
)
@click.pass_context
def warehouse(
    context: click.Context,
    path: Path,
    host: str,
    port: int,
    max_body_mb: int,
    max_memory_mb: int | None,
    max_queries: int,
    queue_s: float,
) -> None:
    """Own an embedded warehouse in the foreground: ClickHouse over HTTP, kept in a folder.

    User, password and database are those of PRECEDENT_WAREHOUSE; without it a password is made, and written in the
    line that says the warehouse is ready.

    \b
    Example:
      precedent warehouse --path .state/warehouse --port 8123
    """
    if context.invoked_subcommand is not None:
        return
    from warehouse.owner.app import Limits
    from warehouse.owner.memory import Memory, memory_of_machine
    from warehouse.owner.serve import OwnerConfig, serve
    from warehouse.owner.wire.requests import Credentials

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    given = _given_address()
    user = given.user if given else _DEFAULT_USER
    password = given.password if given else secrets.token_urlsafe(18)
    if not password:
        raise BadInputError(f"{VARIABLE} == '{given}', must give a password")
    database = given.database if given else DEFAULT_DATABASE

    def announce(bound_host: str, bound_port: int) -> None:
        address = WarehouseAddress(bound_host, bound_port, user, password, database)
        ready = {
            "part": "warehouse",
            "address": f"{bound_host}:{bound_port}",
            "url": str(address) if given else address.url,
            "path": str(path),
        }
        click.echo(json.dumps(ready))

    limits = Limits(body_bytes=max_body_mb << 20, queries=max_queries, queue_s=queue_s)
    memory = Memory(max_memory_mb << 20) if max_memory_mb else memory_of_machine()
    serve(OwnerConfig(path, Credentials(user, password), host, port, database, limits, memory), announce)


@warehouse.command()
def migrate() -> None:
    """Create the database and tables of PRECEDENT_WAREHOUSE, or bring them up to date; safe to run again.

    \b
    Example:
      PRECEDENT_WAREHOUSE=http://precedent:secret@127.0.0.1:8123/precedent precedent warehouse migrate
    """
    from warehouse.migrate import migrate as bring_up_to_date

    address = address_in(os.environ)
    applied = bring_up_to_date(address)
    for migration in applied:
        click.echo(f"applied {migration.version:04}_{migration.name}")
    if not applied:
        click.echo(f"{address} is up to date")


@warehouse.command()
@click.option("--since", type=_DAY, help="First day, rebuilt whether it got rows or not.")
@click.option("--until", type=_DAY, help="Last day, likewise.")
def rebuild(since: datetime | None, until: datetime | None) -> None:
    """Rebuild the daily tables: of the days that got rows since their last rebuild, or of the days given.

    \b
    Example:
      precedent warehouse rebuild --since 2026-11-01 --until 2026-11-14
    """
    from rich.console import Console
    from rich.progress import Progress

    from warehouse import daily
    from warehouse.address import connect

    first, last = since.date() if since else date.min, until.date() if until else date.max
    if first > last:
        raise BadInputError(f"--since == {first}, must not be after --until == {last}")
    client = connect(address_in(os.environ), timeout_s=_LONG_S)
    late: set[date] = set()
    if since or until:
        days = daily.days_with_rows(client, since=first, until=last)
    else:
        due = daily.days_to_rebuild(client)
        days, late = tuple(day.day for day in due), {day.day for day in due if day.rebuilt and day.late}
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("rebuilding", total=len(days))

        def tell(rebuilt: daily.Rebuilt) -> None:
            progress.advance(task)
            mark = ", rows came late" if rebuilt.day in late else ""
            click.echo(f"{rebuilt.day}  {rebuilt.users:,} users, {rebuilt.videos:,} videos{mark}")

        daily.rebuild(client, days, done=tell)
    if not days:
        click.echo("no day to rebuild")


@warehouse.command()
@click.option("--since", type=_DAY, required=True, help="First day (UTC).")
@click.option("--through", type=_DAY, required=True, help="Last day.")
@click.option("--by", type=click.Choice(["day", "leaf"]), default="day", show_default=True)
@click.option(
    "--taxonomy",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="PRECEDENT_TAXONOMY",
    default=Path(".state/taxonomy"),
    show_default=True,
    help="Where leaves have their names.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def exposure(since: datetime, through: datetime, by: str, taxonomy: Path, as_json: bool) -> None:
    """Say how often videos that were ruled violative were served before they were demoted, and how soon they were.

    By the rulings made until now: a ruling of tomorrow changes what is said of today. The estimate of what nobody
    ruled on is from the audit's cases. --by leaf says which categories it was of, and which accepted leaves below them.

    \b
    Example:
      precedent warehouse exposure --since 2026-11-01 --through 2026-11-14
      precedent warehouse exposure --since 2026-11-01 --through 2026-11-14 --by leaf
    """
    from warehouse.address import connect
    from warehouse.exposure import exposure as exposure_of
    from warehouse.exposure import exposure_by_leaf, exposure_lines, kind_lines

    client = connect(address_in(os.environ), timeout_s=_LONG_S)
    window = {"since": since.date(), "through": through.date()}
    found = exposure_by_leaf(client, **window) if by == "leaf" else exposure_of(client, **window)
    if as_json:
        import orjson

        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return
    for line in kind_lines(found, _leaf_names(taxonomy)) if isinstance(found, tuple) else exposure_lines(found):
        click.echo(line)


def _leaf_names(taxonomy: Path) -> dict[str, str]:
    """The label of each type of a taxonomy's folder by its id; none where there is no taxonomy."""
    from contracts.growth import TypeNode
    from contracts.lines import read_lines

    nodes = taxonomy / "nodes.jsonl"
    return {node.node_id: node.label for node in read_lines(nodes, TypeNode)} if nodes.is_file() else {}


@warehouse.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def load(folder: Path) -> None:
    """Load the events of FOLDER, without Kafka: files that `precedent simulate platform` wrote, or a log of yours.

    A file is named as its table: uploads, verdicts, impressions, reports, sessions, exposures, cases, rulings or
    appeals, .parquet with columns as in `precedent schema`, or .jsonl with a line an event. Rows that their contract
    refuses are counted and left out, and the exit code is 1. Loading again changes no sum.

    From nothing to a report, beside a `precedent warehouse` whose url is in PRECEDENT_WAREHOUSE:

    \b
    Example:
      precedent simulate platform --out platform --users 5000 --seed 1
      precedent warehouse migrate
      precedent warehouse load platform
      precedent warehouse rebuild
      precedent ab analyse toxicity-aware-ranking --experiments platform/experiment.json --html report.html
    """
    from rich.console import Console
    from rich.progress import Progress

    from warehouse import loading
    from warehouse.address import connect

    files = loading.event_files(folder)
    client = connect(address_in(os.environ), timeout_s=_LONG_S)
    refused = 0
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        for file in files:
            bar = progress.add_task(file.path.name, total=loading.rows_of(file))
            loaded = loading.load(client, file, done=lambda rows, bar=bar: progress.advance(bar, rows))  # type: ignore[misc]
            refused += loaded.refused
            click.echo(f"{file.path.name:<20} {loaded.rows:>11,} rows, {loaded.refused:,} refused")
            if loaded.refused:
                click.echo(f"  first: {loaded.first_refusal}")
    if refused:
        raise CheckFailedError(f"{folder}: {refused:,} rows were refused and left out, the others are in")


@warehouse.command("erase-user")
@click.argument("user_ids", metavar="ID...", nargs=-1, required=True)
def erase_user(user_ids: tuple[str, ...]) -> None:
    """Erase users from every table, as viewers, reporters, authors and reviewers; safe to run again.

    Rows about what they did are deleted, their uploads and appeals included. Verdicts on their videos and rulings
    that they made stay, without their name. Topics keep events for as long as their retention says: run it again after
    a replay. What the docket has of an author, and what was learned of it, `case erase-author` erases.

    \b
    Example:
      precedent warehouse erase-user user-4711
    """
    from warehouse.address import connect
    from warehouse.erasure import erase_users

    for (table, column, fate), rows in erase_users(connect(address_in(os.environ), timeout_s=_LONG_S), user_ids):
        click.echo(f"{table:<16} {rows:>9,} {fate} by {column}")
