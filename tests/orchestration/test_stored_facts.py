"""What the stream reads from PostgreSQL for its reports: the account's newest decision, its halts, gaps and rows."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from orchestration.settings import load_settings
from orchestration.stored_facts import StoredFacts
from orchestration.stream_tables import SLOW_SECONDS, SPARING, StreamTables
from tests.contracts.trade import BTC, NOON, receipt
from tests.doubles.stores.tape import MemoryTape
from trading.feed_gaps import FeedGap, MissingKind
from trading.ports import TapeTable
from trading.risk import Halt, HaltKind
from trading.stores.postgres import PostgresJournal
from trading.stores.postgres.connection import Database
from trading.stores.postgres.gaps import PostgresGaps

HOUR = timedelta(hours=1)


def test_the_newest_decision_and_what_halts_the_account_at_that_time_are_read(
    dsn: str, tmp_path: Path
) -> None:
    settings = load_settings({"MARKETLOOM_HOME": str(tmp_path), "MARKETLOOM__MARKET__SOURCE": "sandbox"})
    stored = StoredFacts(settings, dsn, MemoryTape())
    before = stored.read("paper", NOON)
    assert (before["decision"], before["halts"]) == (None, [])
    assert before["rows"] == {"market_data": 0, "market_features": 0} | {
        f"tape {table.value}": 0 for table in TapeTable
    }
    journal = PostgresJournal(dsn)
    journal.open_account("paper", {"USDT": Decimal(1000)}, NOON)
    journal.record_decision(receipt("decision-1", outcome="no order"), None)
    ended = Halt(HaltKind.LOSING_STREAK, NOON - HOUR, NOON, "three losses")
    journal.begin_halts("paper", [ended, Halt(HaltKind.DRAWDOWN, NOON, None, "10 % lost")])
    gap = FeedGap("sandbox", BTC, NOON, None, 3, None, MissingKind.FEED_GAP, "the stream did not run", NOON)
    PostgresGaps(dsn).open([gap])
    after = stored.read("paper", NOON)
    assert after["decision"] == {
        "decision_id": "decision-1", "pair": "BTC/USDT", "decided_at": NOON.isoformat(), "action": "LONG",
        "outcome": "no order",
    }  # fmt: skip
    assert after["halts"] == ["drawdown: 10 % lost"]
    assert after["pairs"]["BTC/USDT"]["gaps"] == 1


class SlowTape(MemoryTape):
    """A tape whose rows take a second to count, by a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = 0
        self.time = 0.0

    def rows(self, table: TapeTable, origin: str) -> int:
        self.counts += 1
        self.time += 1.0
        return super().rows(table, origin)


def test_counting_a_large_tape_takes_no_more_than_a_small_share_of_the_time(dsn: str) -> None:
    tape = SlowTape()
    tables = StreamTables(Database(dsn), "sandbox", ["BTC/USDT"], "1h", tape, lambda: tape.time)
    took = len(TapeTable)
    for passed, counts in ((0.0, took), (SLOW_SECONDS, took), (SPARING * took, 2 * took)):
        tape.time += passed
        tables.read()
        assert tape.counts == counts
