"""The newest verified order book of a pair, as the stream has put it on the bus."""

from datetime import datetime

from trading.market import Pair
from trading.ports.market_data import SeenBook
from trading.stores.postgres.connection import Database

_NEWEST = """
SELECT payload->'bids'->0->>0 AS bid, payload->'asks'->0->>0 AS ask, payload->>'at' AS at,
    extract(epoch FROM clock_timestamp() - at)::double precision AS seconds_ago
FROM bus_event
WHERE topic = %(topic)s AND key = %(key)s AND payload->>'origin' = %(origin)s
    AND json_array_length(payload->'bids') > 0 AND json_array_length(payload->'asks') > 0
ORDER BY "offset" DESC LIMIT 1
"""


class PostgresSeenBooks:
    """The books of one venue. A sample with one side alone is none: nobody can trade in it both ways."""

    def __init__(self, dsn: str, origin: str) -> None:
        self._database = Database(dsn)
        self._origin = origin

    def newest(self, pair: Pair) -> SeenBook | None:
        """Return the newest sample that the bus still has; None without one."""
        from trading.bus_messages import BOOK  # msgspec, which the definitions do without

        rows = self._database.execute(_NEWEST, {"topic": BOOK, "key": pair.key, "origin": self._origin})
        for row in rows:
            at = datetime.fromisoformat(row["at"])
            return SeenBook(float(row["bid"]), float(row["ask"]), at, row["seconds_ago"])
        return None
