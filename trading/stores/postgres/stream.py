"""What a stream commits: messages, checkpoints and gaps in one transaction, fenced by its lease.

One stream per origin and database. Its session holds an advisory lock, which dies with the session: a second stream is
refused at once, and after a kill nobody waits for a timeout. The lease's row has the epoch: whoever takes the lease
raises it, and a commit of an older epoch changes nothing, however long its process stood still.
"""

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg

from trading.errors import AlreadyRuns, LeaseLost, StoreUnreachable
from trading.feed_gaps import FeedGap
from trading.market import Pair
from trading.ports import Message
from trading.stores.postgres.connection import (
    Connection,
    Database,
    connect,
    translate_errors,
    with_time_limits,
)
from trading.stores.postgres.gaps import close_gaps, open_gaps
from trading.stores.postgres.outbox import ADDED, append_many, columns_of
from trading.stream_checkpoint import Checkpoint

LOCK_CLASS = 7_201_003  # any number that nothing else in the database locks
SECONDS_TO_DIE = 2.0  # that PostgreSQL may take to notice that a session's process is gone
# A machine that vanished holds its lease no longer than this: 10 + 3 * 5 seconds.
KEEPALIVES = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
# The statements of a batch differ in nothing but their arrays: to plan each anew is a fifth of the commit.
ONE_PLAN = "-c plan_cache_mode=force_generic_plan"
TICK = 0.05
# Without the lease's row the division fails, and the transaction with it: no round trip is spent on asking first.
_FENCE = """
WITH lease AS (
    UPDATE stream_leases SET batch = %(batch)s WHERE origin = %(origin)s AND epoch = %(epoch)s RETURNING 1
)
SELECT 1 / count(*) FROM lease
"""
_TAKE = """
INSERT INTO stream_leases AS lease (origin, epoch, holder, since) VALUES (%(origin)s, 1, %(holder)s, clock_timestamp())
ON CONFLICT (origin) DO UPDATE SET epoch = lease.epoch + 1, holder = excluded.holder,
    since = excluded.since, address = ''
WHERE %(epoch)s IN (0, lease.epoch)
RETURNING epoch, batch
"""
# The settled part has kilobytes and is null where it is stored already: PostgreSQL does not write it again then.
_CHECKPOINTS = """
MERGE INTO stream_checkpoints AS stored
USING (
    SELECT * FROM unnest(%(pairs)b::text[], %(settled)b::text[], %(recent)b::text[]) AS given (pair, settled, recent)
) AS given ON stored.origin = %(origin)s AND stored.pair = given.pair
WHEN MATCHED THEN UPDATE SET settled = coalesce(given.settled::json, stored.settled), recent = given.recent::json,
    at = clock_timestamp()
WHEN NOT MATCHED THEN INSERT (origin, pair, settled, recent, at)
    VALUES (%(origin)s, given.pair, given.settled::json, given.recent::json, clock_timestamp())
"""
# What most batches are, in one statement and one round trip: without the lease it changes nothing and returns no row.
_TOGETHER = f"""
WITH allowed AS (
    UPDATE stream_leases SET batch = %(batch)s WHERE origin = %(origin)s AND epoch = %(epoch)s RETURNING 1
), checkpoints AS (
    UPDATE stream_checkpoints AS stored SET settled = coalesce(given.settled::json, stored.settled),
        recent = given.recent::json, at = clock_timestamp()
    FROM allowed CROSS JOIN unnest(%(pairs)b::text[], %(settled)b::text[], %(recent)b::text[])
        AS given (pair, settled, recent)
    WHERE stored.origin = %(origin)s AND stored.pair = given.pair
), {ADDED}
"""


@dataclass(frozen=True, slots=True)
class StreamLease:
    """Who streams an origin, or did last, and where it answers over HTTP (empty: it does not)."""

    holder: str
    since: datetime
    address: str
    running: bool


def read_lease(dsn: str, origin: str) -> StreamLease | None:
    """Return the newest stream of the origin; None before there was one."""
    with Database(dsn).transaction() as connection:
        row = connection.execute(
            "SELECT holder, since, address FROM stream_leases WHERE origin = %s", (origin,)
        ).fetchone()
        if row is None:
            return None
        return StreamLease(**row, running=bool(_session_with_lock(connection, origin)))


def require_stream(connection: Connection, origin: str, epoch: int, account: str) -> None:
    """Raise LeaseLost unless the origin's newest lease is this one: whoever has a newer one watches the account."""
    query = "SELECT 1 FROM stream_leases WHERE origin = %s AND epoch = %s"
    if connection.execute(query, (origin, epoch)).fetchone() is None:
        raise LeaseLost(f"another process has taken over the stream of {origin}: it watches {account} now")


class StreamOutbox:
    """The lease of one stream and what it may commit. Used by one thread at a time."""

    def __init__(self, dsn: str, origin: str, holder: str) -> None:
        """`holder` names this process to a person: account, host and process id."""
        database = Database(dsn)
        self._conninfo, self._address = (
            with_time_limits(database.conninfo, f"{KEEPALIVES} {ONE_PLAN}"),
            database.address,
        )
        self._origin = origin
        self._holder = holder
        self._announced = ""
        self._connection: Connection | None = None
        self._backend = 0  # the process of the server that our session has, or had
        self._epoch = 0
        self._batch = 0  # number of the last batch that is committed
        self._settled: dict[Pair, bytes] = {}  # what of the checkpoints is known to be stored

    @property
    def epoch(self) -> int:
        """Return the number of this lease; 0 before `open`."""
        return self._epoch

    def open(self) -> dict[Pair, Checkpoint]:
        """Take the lease and return the checkpoints. AlreadyRuns names the stream that has it."""
        connection = self._connected()
        with translate_errors(self._address):
            rows = connection.execute(
                "SELECT pair, settled::text, recent::text FROM stream_checkpoints WHERE origin = %s",
                (self._origin,),
            ).fetchall()
        return {
            Pair.parse(row["pair"]): Checkpoint(row["settled"].encode(), row["recent"].encode())
            for row in rows
        }

    def announce(self, address: str) -> None:
        """Store where this stream answers over HTTP, for whoever looks for it."""
        self._announced = address
        with translate_errors(self._address):
            self._connected().execute(
                "UPDATE stream_leases SET address = %s WHERE origin = %s AND epoch = %s",
                (address, self._origin, self._epoch),
            )

    def commit(
        self,
        messages: Sequence[Message],
        checkpoints: Mapping[Pair, Checkpoint],
        gaps: Sequence[FeedGap] = (),
        repaired: Sequence[FeedGap] = (),
    ) -> None:
        """Make a batch durable, all or nothing. Call it again with the same batch after StoreUnreachable: it is
        committed once, also where the answer to the first commit was lost.

        LeaseLost when another stream took over: nothing of the batch is committed then.
        """
        number = self._batch + 1
        connection = self._connected()
        if self._batch == number:  # the session ended after the commit and before its answer
            return
        fence = {"origin": self._origin, "epoch": self._epoch, "batch": number}
        try:
            with translate_errors(self._address):
                if messages and not gaps and not repaired and checkpoints.keys() <= self._settled.keys():
                    values = fence | self._checkpoint_values(checkpoints) | columns_of(messages)
                    if not connection.execute(_TOGETHER.encode(), values).fetchall():
                        raise self._lost()
                else:
                    self._commit_apart(connection, fence, messages, checkpoints, gaps, repaired)
        except StoreUnreachable:
            self._disconnect()
            raise
        self._batch = number
        self._settled |= {pair: each.settled for pair, each in checkpoints.items()}

    def _commit_apart(
        self,
        connection: Connection,
        fence: Mapping[str, object],
        messages: Sequence[Message],
        checkpoints: Mapping[Pair, Checkpoint],
        gaps: Sequence[FeedGap],
        repaired: Sequence[FeedGap],
    ) -> None:
        """Commit a batch statement by statement: it has gaps, or the first checkpoint of a pair."""
        with self._fenced(), connection.pipeline(), connection.transaction():
            connection.execute(_FENCE, fence)
            if checkpoints:
                connection.execute(_CHECKPOINTS, self._checkpoint_values(checkpoints))
            open_gaps(connection, gaps)
            for gap in repaired:
                assert gap.repaired_at is not None
                close_gaps(connection, [gap], gap.repaired_at)
            append_many(connection, messages)

    def close(self) -> None:
        """Give the lease up; its row stays, with what its last batch was."""
        self._disconnect()

    @contextmanager
    def _fenced(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.DivisionByZero:
            raise self._lost() from None

    def _checkpoint_values(self, checkpoints: Mapping[Pair, Checkpoint]) -> dict[str, object]:
        return {
            "origin": self._origin,
            "pairs": [str(pair) for pair in checkpoints],
            "settled": [
                None if self._settled.get(pair) == each.settled else each.settled.decode()
                for pair, each in checkpoints.items()
            ],
            "recent": [each.recent.decode() for each in checkpoints.values()],
        }

    def _connected(self) -> Connection:
        """Return the session that holds the lease; after a lost one, another with a new epoch."""
        if self._connection is None:
            with translate_errors(self._address):
                connection = connect(self._conninfo)
                try:
                    self._lock(connection)
                    self._take(connection)
                except BaseException:
                    connection.close()
                    raise
            self._connection, self._backend = connection, connection.info.backend_pid
        return self._connection

    def _lock(self, connection: Connection) -> None:
        """Lock the origin. AlreadyRuns, or LeaseLost where it was ours before.

        The session of a process that was just killed may live for a moment longer.
        """
        deadline = time.monotonic() + SECONDS_TO_DIE
        while not _lock_now(connection, self._origin):
            if self._backend and _session_with_lock(connection, self._origin) == self._backend:
                # Ours, lost on the way.
                connection.execute("SELECT pg_terminate_backend(%s)", (self._backend,))
            if time.monotonic() > deadline:
                raise self._taken(connection)
            time.sleep(TICK)

    def _take(self, connection: Connection) -> None:
        values = {"origin": self._origin, "holder": self._holder, "epoch": self._epoch}
        row = connection.execute(_TAKE, values).fetchone()
        if row is None:  # another stream ran meanwhile: what it published is not in our memory
            raise self._lost()
        self._epoch, self._batch = row["epoch"], row["batch"]
        if self._announced:
            connection.execute(
                "UPDATE stream_leases SET address = %s WHERE origin = %s", (self._announced, self._origin)
            )

    def _taken(self, connection: Connection) -> AlreadyRuns | LeaseLost:
        holder = self._newest_holder(connection)
        if self._epoch:
            return LeaseLost(f"the stream of {self._origin} is run by {holder} now; this process must end")
        return AlreadyRuns(
            f"the stream of {self._origin} runs already: {holder}. There is one per venue and database: use it, "
            "or stop it first"
        )

    def _newest_holder(self, connection: Connection) -> str:
        row = connection.execute(
            "SELECT holder, since FROM stream_leases WHERE origin = %s", (self._origin,)
        ).fetchone()
        return f"{row['holder']}, since {row['since']:%Y-%m-%d %H:%M:%S} UTC" if row else "another process"

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"another process has taken over the stream of {self._origin}: nothing more of this one is committed"
        )

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


def _lock_now(connection: Connection, origin: str) -> bool:
    row = connection.execute(
        "SELECT pg_try_advisory_lock(%s, %s) AS locked", (LOCK_CLASS, _key(origin))
    ).fetchone()
    return bool(row and row["locked"])


def _session_with_lock(connection: Connection, origin: str) -> int:
    """Return the server process of the session that has the lock; 0 when none has it any more."""
    row = connection.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint = %s "
        "AND objid::bigint = %s AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        (LOCK_CLASS, _key(origin) % 2**32),
    ).fetchone()
    return int(row["pid"]) if row else 0


def _key(origin: str) -> int:
    """Return the origin as the signed 32 bits that an advisory lock takes."""
    number = zlib.crc32(origin.encode())
    return number - 2**32 if number >= 2**31 else number
