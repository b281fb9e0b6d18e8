"""Connections that are kept, to a PostgreSQL that was restarted meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml
from sqlalchemy import event

from orchestration.fast_lane.connections import keep_connections
from orchestration.postgres.embedded import EmbeddedPostgres


@pytest.fixture
def instance(postgres_server: EmbeddedPostgres, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    storage = {"postgres": {"postgres_url": postgres_server.dagster_url}}
    values = {"storage": storage, "telemetry": {"enabled": False}}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(values))
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def look(instance: dg.DagsterInstance) -> None:
    """Use each of the three storages."""
    instance.get_runs_count()
    instance.get_asset_keys()
    instance.get_daemon_heartbeats()
    instance.all_instigator_state()


def end_connections(server: EmbeddedPostgres) -> int:
    """End every session of the server but this one, as its restart does; returns how many there were."""
    ended = (
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
        "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(server.dsn) as connection:
        row = connection.execute(ended).fetchone()
    assert row is not None
    return int(row[0])


def test_the_first_use_after_a_restart_of_the_server_does_not_fail(
    instance: dg.DagsterInstance, postgres_server: EmbeddedPostgres
) -> None:
    keep_connections(instance, idle_seconds=0.0)
    look(instance)
    for _ in range(2):
        assert end_connections(postgres_server) >= 3
        look(instance)


def test_connections_are_kept(instance: dg.DagsterInstance, postgres_server: EmbeddedPostgres) -> None:
    def sessions() -> list[tuple[int]]:
        with psycopg.connect(postgres_server.dsn) as connection:
            query = (
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND pid <> pg_backend_pid() ORDER BY pid"
            )
            return connection.execute(query).fetchall()

    keep_connections(instance, idle_seconds=0.0)
    look(instance)
    before = sessions()
    look(instance)
    after = sessions()
    assert len(after) >= 3
    assert set(after) <= set(before)  # no new one; one of an earlier test may just have ended


def test_the_storages_columns_are_looked_up_once(instance: dg.DagsterInstance) -> None:
    keep_connections(instance)
    look_ups: list[str] = []
    storages = (instance.run_storage, instance.event_log_storage)
    for engine in {storage._engine for storage in storages}:  # type: ignore[attr-defined]
        event.listen(engine, "before_cursor_execute", lambda *facts: look_ups.append(facts[2]))

    def catalogue() -> int:
        look_ups.clear()
        instance.get_run_records()
        instance.event_log_storage.get_asset_records([dg.AssetKey("known")])
        return sum("pg_attribute" in statement for statement in look_ups)

    first, again = catalogue(), catalogue()
    assert first > again == 0
