"""`marketloom bus`: topics, consumer groups with their lag, and dead letters; `bus replay` sends those again."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestration.bus import check_topic, open_bus
from orchestration.postgres.embedded import prepare_home
from orchestration.settings import home_folder, load_settings
from orchestration.system import postgres_addresses
from streaming.bus.overview import read_groups, read_letters, read_topics
from streaming.bus.replay import replay
from trading.stores.postgres import Database, migrate


def read_bus() -> dict[str, Any]:
    """Read the outbox in PostgreSQL; with a broker its groups, too."""
    settings = load_settings().bus
    with postgres_addresses(prepare_home(home_folder())) as (dsn, _):
        migrate(dsn)
        database = Database(dsn)
        with database.transaction() as connection:
            topics, groups = read_topics(connection), read_groups(connection)
            letters = read_letters(connection)
        database.close()
        if settings.kind == "kafka":
            from streaming.bus.kafka.groups import read_broker_groups

            groups += read_broker_groups(settings.brokers)
    return {
        "kind": settings.kind,
        "topics": [asdict(each) for each in topics],
        "groups": [asdict(each) for each in groups],
        "dead_letters": [asdict(each) for each in letters],
    }


def replay_letters(topic: str | None, group: str | None) -> dict[str, Any]:
    """Send dead letters again, and count them. InvalidValue for a topic that the bus does not have."""
    settings = load_settings().bus
    if topic is not None:
        check_topic(settings, topic)
    with postgres_addresses(prepare_home(home_folder())) as (dsn, _):
        migrate(dsn)
        database, bus = Database(dsn), open_bus(settings, dsn)
        try:
            replayed = replay(database, topic, group, bus.publish if settings.kind == "kafka" else None)
        finally:
            bus.close()
            database.close()
    return {"sent": dict(replayed.sent), "not_json": replayed.not_json}


def show(facts: dict[str, Any], out: Console) -> None:
    """Print the facts as tables."""
    _print(out, "topics of the outbox", facts["topics"], ("topic", "messages", "oldest_at", "newest_at"))
    _print(out, "consumer groups", facts["groups"], ("group", "topic", "offset", "lag", "holder", "seen_at"))
    columns = ("group", "topic", "letters", "newest_at", "reason")
    _print(out, "dead letters: `marketloom bus replay` sends them again", facts["dead_letters"], columns)


def show_replay(facts: dict[str, Any], out: Console) -> None:
    sent = ", ".join(f"{count} to {topic}" for topic, count in sorted(facts["sent"].items()))
    out.print(f"sent again: {sent}" if sent else "no dead letter waits")
    if facts["not_json"]:
        out.print(
            f"{facts['not_json']} letters are no JSON and stay: only a broker ([bus] kind) can carry them",
            markup=False,
        )


def _print(out: Console, title: str, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if not rows:
        out.print(f"{title.split(':')[0]}: none", markup=False)
        return
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(_text(row[column]) for column in columns))
    out.print(table)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat(sep=" ", timespec="seconds") if hasattr(value, "isoformat") else str(value)
