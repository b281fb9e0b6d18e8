"""Retention of observations: Dagster keeps every event of an asset for ever."""

import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

EVENTS, TAGS = SqlEventLogStorageTable.c, AssetEventTagsTable.c


def purge_observations(instance: dg.DagsterInstance, asset: dg.AssetKey, kept: timedelta) -> int:
    """Delete the asset's observations that are older than `kept`, but for the newest of each partition.

    The newest one has the data version that staleness is judged by. Returns how many were deleted.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    observed = db.and_(
        EVENTS.asset_key == asset.to_string(), EVENTS.dagster_event_type == "ASSET_OBSERVATION"
    )
    newest = db.select(db.func.max(EVENTS.id)).where(observed).group_by(EVENTS.partition)
    before = datetime.fromtimestamp(time.time(), UTC).replace(tzinfo=None) - kept
    old = db.select(EVENTS.id).where(observed, EVENTS.timestamp < before, EVENTS.id.not_in(newest))
    with storage.index_connection() as connection:
        ids = [row[0] for row in connection.execute(old)]
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            connection.execute(AssetEventTagsTable.delete().where(TAGS.event_id.in_(some)))
            connection.execute(SqlEventLogStorageTable.delete().where(EVENTS.id.in_(some)))
    return len(ids)
