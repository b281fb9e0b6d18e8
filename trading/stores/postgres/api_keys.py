"""Nonces and rate counters of API keys in PostgreSQL, on the database's own clock; one round trip per call."""

from trading.api_keys import Charge, Permit
from trading.stores.postgres.connection import Database

ROUNDING = 1e-6  # of a level: less than the decay of a microsecond
MIN_WAIT = 1e-3  # seconds; time has passed between the two statements of a refusal

# A clock that was set back takes nothing away from a counter.
_LEVEL = (
    "greatest(0, known.level - %(decay)s * greatest(0, extract(epoch FROM clock_timestamp() - known.at)))"
)
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_NONCE = "ON CONFLICT (key) DO UPDATE SET nonce = greatest(known.nonce + 1, excluded.nonce) RETURNING nonce"
_NEXT_NONCE = f"INSERT INTO api_key_nonces AS known (key, nonce) VALUES (%(key)s, {_NOW}) {_NONCE}"
_SPEND = f"""
WITH charged AS (
    INSERT INTO api_key_counters AS known (key, counter, level, at)
    VALUES (%(key)s, %(counter)s, %(cost)s, clock_timestamp())
    ON CONFLICT (key, counter) DO UPDATE SET level = {_LEVEL} + %(cost)s, at = clock_timestamp()
    WHERE {_LEVEL} + %(cost)s <= %(ceiling)s
    RETURNING 1
)
INSERT INTO api_key_nonces AS known (key, nonce) SELECT %(key)s, {_NOW} FROM charged {_NONCE}
"""
# Written while a caller waits too: where the clock was set back, the counter goes down from there on.
_REFUSE = f"""
UPDATE api_key_counters AS known SET level = {_LEVEL}, at = clock_timestamp()
WHERE key = %(key)s AND counter = %(counter)s RETURNING level
"""
_EXHAUST = """
INSERT INTO api_key_counters (key, counter, level, at)
VALUES (%(key)s, %(counter)s, %(level)s, clock_timestamp())
ON CONFLICT (key, counter) DO UPDATE SET level = excluded.level, at = clock_timestamp()
"""
_READ = (
    f"SELECT {_LEVEL} AS level FROM api_key_counters AS known WHERE key = %(key)s AND counter = %(counter)s"
)


class PostgresKeyState:
    """Commits do not wait for the disk: after a power cut the clock is beyond every nonce that was lost."""

    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn, durable=False)

    def next_nonce(self, key: str) -> int:
        (row,) = self._database.execute(_NEXT_NONCE, {"key": key})
        return int(row["nonce"])

    def spend(self, key: str, charge: Charge) -> Permit:
        values = {
            "key": key,
            "counter": charge.counter,
            "cost": charge.cost,
            "ceiling": charge.ceiling + ROUNDING,
            "decay": charge.decay,
        }
        granted = self._database.execute(_SPEND, values)
        if granted:
            return Permit(int(granted[0]["nonce"]))
        refused = self._database.execute(_REFUSE, values)
        return Permit(None, max(charge.wait(refused[0]["level"] if refused else 0.0), MIN_WAIT))

    def exhaust(self, key: str, counter: str, level: float) -> None:
        self._database.execute(_EXHAUST, {"key": key, "counter": counter, "level": level})

    def level(self, key: str, counter: str, decay: float) -> float:
        found = self._database.execute(_READ, {"key": key, "counter": counter, "decay": decay})
        return float(found[0]["level"]) if found else 0.0
