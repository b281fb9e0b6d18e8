"""Reports of the running stream to Dagster: observations of `market_tape`, with the facts that `status --watch` shows.

One event a minute at most. Each also brings the data version of one pair's month, the digest of its candles: pairs take
turns, so that a version is at most as many minutes old as there are pairs. Dagster's storage may be away: then a report
is left out, and the stream does not notice.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from time import monotonic
from typing import Any, Final

import dagster as dg
import polars as pl
import structlog
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from assets.metadata_numbers import readable
from assets.metadata_tables import shown_table
from assets.partitions import pair_month_key
from assets.tape import MARKET_TAPE
from assets.versions import content_version
from orchestration.observation_log import purge_observations
from orchestration.stream_tables import newest_age
from trading.market import Pair, Universe, month_of, month_start, next_month
from trading.ports import GapLedger, Tape, TapeTable

LOG = structlog.get_logger("tape_reports")
INTERVAL: Final = 55.0  # seconds: at most one event a minute
KEPT = timedelta(days=30)  # of observations in Dagster's event log
PURGING = 60  # reports between two purges
MAX_PLOTTED_PAIRS = 12
REPAIRS = timedelta(days=1)  # a month in which a gap was repaired since is looked at again
Facts = Mapping[str, Any]  # of the stream, as /status has them: `pairs` by name, everything else by subject
Stored = Callable[[str, datetime], Facts]  # of an account at a time, as `StoredFacts` reads them
PAIR_COLUMNS = (
    "price", "spread", "age", "gaps", "restatements", "book", "trades", "newest_candle", "listed", "interrupted",
    "refused",
)  # fmt: skip
PLOTTED = ("price", "spread", "age", "gaps", "restatements")


class TapeReporter:
    """Writes one observation per call into Dagster's event log."""

    def __init__(
        self,
        open_instance: Callable[[], dg.DagsterInstance],
        tape: Tape,
        universe: Universe,
        stored: Stored,
        ledger: GapLedger | None = None,
    ) -> None:
        self._open_instance = open_instance
        self._tape = tape
        self._universe = universe
        self._stored = stored
        self._ledger = ledger
        self._instance: dg.DagsterInstance | None = None
        self._months: deque[tuple[Pair, date]] = deque()  # whose versions are still to be read in this round
        self._versions: dict[str, str] = {}  # by partition, as reported
        self._reports = 0

    def report(self, facts: Facts, at: datetime) -> bool:
        """Report what the stream knows at `at`, its venue's time; False when that was not possible, for any reason."""
        try:
            if self._instance is None:
                self._instance = self._open_instance()
            self._instance.report_runless_asset_event(self._observation(facts, at))
            if self._reports % PURGING == 0:
                purge_observations(self._instance, MARKET_TAPE, KEPT)
            self._reports += 1
            return True
        except Exception as error:  # whatever is wrong with Dagster or the tape, the stream records on
            LOG.warning("not reported to Dagster", error=type(error).__name__, why=str(error)[:300])
            self._close_instance()
            return False

    def close(self) -> None:
        self._close_instance()

    def _close_instance(self) -> None:
        instance, self._instance = self._instance, None
        if instance is not None:
            try:
                instance.dispose()
            except Exception as error:  # its storage is away
                LOG.debug("instance not closed", why=str(error)[:300])

    def _observation(self, facts: Facts, at: datetime) -> dg.AssetObservation:
        """Observe the next month whose content has changed since it was reported; none: the stream alone."""
        stored = self._stored(facts["account"], at)
        metadata = tape_metadata(facts, stored, self._newest_bars(), at)
        if (changed := self._next_change(at)) is None:
            return dg.AssetObservation(MARKET_TAPE, metadata=metadata)
        key, version = changed
        self._versions[key] = version
        return dg.AssetObservation(
            MARKET_TAPE, metadata=metadata, partition=key, tags={DATA_VERSION_TAG: version}
        )

    def _newest_bars(self) -> dict[Pair, datetime | None]:
        """Return the open time of each pair's newest candle."""
        return {
            pair: self._tape.newest(TapeTable.CANDLES, self._universe.origin, pair)
            for pair in self._universe.pairs
        }

    def _next_change(self, at: datetime) -> tuple[str, str] | None:
        """Look at the months whose turn it is, each once at most, until one has changed."""
        if not self._months:
            self._months.extend(self._due(at))
        while self._months:
            pair, month = self._months.popleft()
            version = self._version(pair, month)
            if version is not None and self._versions.get(key := pair_month_key(pair, month)) != version:
                return key, version
        return None

    def _due(self, at: datetime) -> Iterator[tuple[Pair, date]]:
        """Yield the running month of each pair, just after its start the one before, and those repaired of late."""
        for pair in self._universe.pairs:
            months = {month_of(at), month_of(at - REPAIRS)}
            if self._ledger is not None:
                gaps = self._ledger.gaps(self._universe.origin, pair, at - timedelta(days=366), at)
                months |= {
                    month_of(gap.since) for gap in gaps if gap.repaired_at and gap.repaired_at > at - REPAIRS
                }
            yield from ((pair, month) for month in sorted(months, reverse=True))

    def _version(self, pair: Pair, month: date) -> str | None:
        """Return the digest of the month's candles of the base timeframe, all revisions; None without one."""
        start, end = month_start(month), month_start(next_month(month))
        candles = self._tape.read(TapeTable.CANDLES, self._universe.origin, pair, start, end)
        base = candles.filter(pl.col("timeframe") == self._universe.timeframe.value)
        return content_version(base).value if base.height else None


def tape_metadata(
    facts: Facts, stored: Facts, newest: Mapping[Pair, datetime | None], at: datetime
) -> dict[str, Any]:
    """Return the facts as Dagster shows them: what a person looks for first, then numbers, which become plots."""
    pairs = {
        pair: {**stored["pairs"].get(pair, {}), **known, "age": newest_age(known)}
        for pair, known in facts["pairs"].items()
    }
    consumers: Mapping[str, Facts] = facts["consumers"]
    return {
        "at": dg.MetadataValue.timestamp(at),
        "health": ", ".join(facts["health"]) or "well",
        "pairs": _table("pair", pairs, PAIR_COLUMNS),
        "newest bars": _newest_bars(newest, at),
        "last decision": _last_decision(stored["decision"]),
        "halts": "; ".join(stored["halts"]) or "none",
        "consumers": _table("consumer", consumers, ("lag", "records", "failing")),
        **{f"rows {table}": count for table, count in stored["rows"].items()},
        **{f"lag {name}": sum(each["lag"].values()) for name, each in consumers.items()},
        **_plotted(pairs),
        **{
            name: readable(value)
            for name, value in facts.items()
            if isinstance(value, str | int | float) and value != ""
        },
    }


def _newest_bars(newest: Mapping[Pair, datetime | None], at: datetime) -> dg.TableMetadataValue:
    rows = [
        (str(pair), f"{opened:%Y-%m-%d %H:%M}", str(at - opened).split(".")[0])
        if opened
        else (str(pair), "none yet", "")
        for pair, opened in newest.items()
    ]
    return shown_table(("pair", "newest bar opened", "age"), rows)


def _last_decision(decision: Facts | None) -> str:
    if decision is None:
        return "none yet"
    at = f"{datetime.fromisoformat(decision['decided_at']):%Y-%m-%d %H:%M:%S}"
    return f"{decision['decision_id'][:8]} {at} {decision['pair']} {decision['action']}"


def _plotted(pairs: Mapping[str, Facts]) -> dict[str, float]:
    return {
        f"{fact} {pair}": readable(facts[fact])
        for pair, facts in list(pairs.items())[:MAX_PLOTTED_PAIRS]
        for fact in PLOTTED
        if facts.get(fact) is not None
    }


def _table(head: str, rows: Mapping[str, Facts], names: Sequence[str]) -> dg.TableMetadataValue:
    """Return a table without the columns in which nothing stands."""
    cells = {row: {name: _cell(facts.get(name)) for name in names} for row, facts in rows.items()}
    shown = [name for name in names if any(row[name] for row in cells.values())]
    return shown_table(
        (head, *shown), [(row, *(each[name] for name in shown)) for row, each in cells.items()]
    )


def _cell(value: object) -> str:
    match value:
        case Mapping():
            return ", ".join(f"{name} {each}" for name, each in value.items())
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case float():
            return f"{value:.10f}".rstrip("0").rstrip(".")
        case _:
            return "" if value is None else str(value)


class TapeReports:
    """Reports from a thread of its own: whoever offers facts never waits for Dagster."""

    def __init__(self, reporter: TapeReporter, interval: float = INTERVAL) -> None:
        self._reporter = reporter
        self._interval = interval
        self._next = 0.0  # by the monotonic clock
        self._waiting: queue.Queue[tuple[Facts, datetime] | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="tape reports", daemon=True)
        self._thread.start()

    def offer(self, facts: Facts, at: datetime) -> bool:
        """Hand over facts; False when it is too early, or the report before has not ended: then they are dropped."""
        if monotonic() < self._next:
            return False
        try:
            self._waiting.put_nowait((facts, at))
        except queue.Full:
            return False
        self._next = monotonic() + self._interval
        return True

    def close(self, facts: Facts, at: datetime, timeout: float = 5.0) -> None:
        """Report for the last time and end; a report that hangs is left behind after `timeout` seconds."""
        for last in ((facts, at), None):
            try:
                self._waiting.put(last, timeout=timeout)
            except queue.Full:
                return
        self._thread.join(timeout)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            self._reporter.report(*item)
        self._reporter.close()
