"""PROVISIONAL, only to try the rest out: the author of the stores room replaces this file."""

from typing import Any
import json
from datetime import datetime, UTC
from trading.ports import Event
from trading.stores.postgres.connection import Database


class PostgresBus:
    def __init__(self, dsn: str) -> None:
        self._d = Database(dsn)

    def publish(self, topic: str, key: str, payload: Any) -> int:
        with self._d.transaction() as c:
            c.execute("select pg_advisory_xact_lock(77)")
            return c.execute(
                'insert into bus_event(topic,key,payload,at) values (%s,%s,%s,now()) returning "offset"',
                (topic, key, json.dumps(payload)),
            ).fetchone()["offset"]

    def read(self, topic: str, after: int, limit: int = 1000) -> list[Event]:
        with self._d.transaction() as c:
            return [
                Event(**r)
                for r in c.execute(
                    'select * from bus_event where topic=%s and "offset">%s order by 1 limit %s',
                    (topic, after, limit),
                ).fetchall()
            ]

    def newest(self, topic: str, key: str) -> Event | None:
        with self._d.transaction() as c:
            r = c.execute(
                "select * from bus_event where topic=%s and key=%s order by 1 desc limit 1", (topic, key)
            ).fetchone()
            return Event(**r) if r else None
