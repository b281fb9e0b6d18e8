"""The day's portfolio snapshot through Dagster: what is stored, what a person sees, what older snapshots allow."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.portfolio import portfolio_snapshots
from tests.doubles.stores import MemoryJournal, MemoryTable
from tests.ml.decision.decision_world import input_reader, record_fill, with_market
from tests.ml.decision.trading_day import PAIR
from trading.account import COUNTS, FIGURES, Account
from trading.market import CANDLE_SCHEMA
from trading.orders import Fill, Side

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
CLOSES = [100.0] * 24 + [110.0] * 24 + [99.0] * 24  # three days
OPENING = {"USDT": Decimal(1000), "BTC": Decimal(1)}


class Harness:
    def __init__(self, folder: Path) -> None:
        self.journal = MemoryJournal()
        self.journal.open_account("paper", OPENING, MONDAY)
        table = MemoryTable(CANDLE_SCHEMA)
        table.write(PAIR, date(2024, 1, 1), candles())
        self.reader = input_reader(
            folder,
            table,
            self.journal,
            account=Account("paper", "USDT", Decimal(1100), {"USDT": Decimal(1000)}, "BTC"),
        )

    def fill(self, number: int, side: Side, quantity: str, price: str, at: datetime) -> None:
        record_fill(
            self.journal, f"order-{number}", PAIR, side, quantity, price=price, at=at, fee=1, account="paper"
        )

    def materialise(self, day: str, **resources: Any) -> dict[str, Any]:
        everything = {"input_reader": self.reader, "journal": self.journal} | resources
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                [portfolio_snapshots], instance=instance, partition_key=day, resources=everything
            )
        (event,) = result.asset_materializations_for_node("portfolio_snapshots")
        return {name: value.value for name, value in event.metadata.items()}


def candles() -> pl.DataFrame:
    times = [MONDAY + hour * HOUR for hour in range(len(CLOSES))]
    rows = {
        "open_time": times, "close_time": [time + HOUR for time in times], "open": CLOSES, "high": CLOSES,
        "low": CLOSES, "close": CLOSES, "volume": [1.0] * len(CLOSES), "origin": ["test"] * len(CLOSES),
        "known_at": [time + HOUR for time in times],
    }  # fmt: skip
    return pl.DataFrame(rows, schema=CANDLE_SCHEMA)


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    made = Harness(tmp_path)
    made.fill(1, Side.BUY, "2", "100", MONDAY + 2 * HOUR)
    made.fill(2, Side.SELL, "1", "105", MONDAY + 3 * HOUR)
    made.fill(3, Side.SELL, "1", "109", MONDAY + 30 * HOUR)  # on Tuesday
    return made


def test_the_day_shows_what_trading_gained_and_what_it_cost(harness: Harness) -> None:
    shown = harness.materialise("2024-01-01")
    assert (shown["realised_pnl"], shown["unrealised_pnl"], shown["fees"], shown["net_pnl"]) == (5, 0, 2, 3)
    assert shown["equity"] == 1103
    assert (shown["closed_trades"], shown["winning_trades"]) == (1, 1)


def test_the_numbers_of_a_day_say_why_equity_moved_since_the_opening(harness: Harness) -> None:
    harness.materialise("2024-01-01")
    shown = harness.materialise("2024-01-02")  # the bitcoin of the opening rose from 100 to 110
    assert (shown["revaluation"], shown["open_positions"]) == (10, 0)
    assert shown["equity"] == 1100 + shown["revaluation"] + shown["realised_pnl"] - shown["fees"]
    assert all(isinstance(shown[name], int | float) for name in (*FIGURES, *COUNTS))


def test_every_materialisation_of_a_running_day_is_a_snapshot_of_its_own(harness: Harness) -> None:
    harness.materialise("2024-01-03")
    growing = MemoryTable(CANDLE_SCHEMA)
    growing.write(PAIR, date(2024, 1, 1), candles().head(60))
    harness.materialise("2024-01-03", input_reader=with_market(harness.reader, candles=growing))
    times = [row["at"] for row in harness.journal.snapshots_since("paper", MONDAY)]
    assert times == [MONDAY + 60 * HOUR, MONDAY + 72 * HOUR - timedelta(microseconds=1)]


def test_what_is_open_and_what_was_closed_can_be_read(harness: Harness) -> None:
    shown = harness.materialise("2024-01-01")
    [position], [trade] = shown["open"].records, shown["last_closed"].records
    assert list(position.data.values()) == ["BTC/USDT", "1", "100", "2024-01-01 02:00"]
    assert list(trade.data.values()) == [
        "2024-01-01 03:00", "BTC/USDT", "1", "100", "105", "1.5 USDT", "+3.5 USDT",
    ]  # fmt: skip


def test_drawdown_is_shown_below_the_peak_of_earlier_days(harness: Harness) -> None:
    days = [harness.materialise(f"2024-01-0{number}") for number in (1, 2, 3)]
    assert [day["equity"] for day in days] == [1103, 1121, 1110]
    assert days[2]["drawdown"] == pytest.approx(11 / 1121, rel=1e-3)
    assert all("data:image/svg+xml" in days[2][name] for name in ("equity_by_day", "drawdown_by_day"))


def test_the_stored_snapshot_holds_the_results_exactly(harness: Harness) -> None:
    harness.materialise("2024-01-01")
    (stored,) = harness.journal.snapshots("paper")
    assert {name: Decimal(stored[name]) for name in ("realised_pnl", "unrealised_pnl", "fees", "net_pnl")} == {
        "realised_pnl": 5, "unrealised_pnl": 0, "fees": 2, "net_pnl": 3,
    }  # fmt: skip


def test_a_day_after_days_without_a_snapshot_opens_with_its_own_midnight(harness: Harness) -> None:
    harness.materialise("2024-01-01")
    wednesday = harness.reader.account.snapshot(MONDAY + 60 * HOUR)
    assert wednesday["equity"] == 1110
    assert wednesday["opening_equity"] == 1121  # Tuesday's 110, not Monday's 1103


def test_the_candle_that_closes_at_midnight_is_yesterdays(harness: Harness) -> None:
    tuesday = harness.reader.account.snapshot(MONDAY + 24 * HOUR)
    assert tuesday["opening_equity"] == tuesday["equity"] == 1103


def test_what_is_filled_at_midnight_is_charged_to_the_new_day(harness: Harness) -> None:
    harness.fill(4, Side.BUY, "1", "120", MONDAY + 24 * HOUR)
    assert harness.reader.account.snapshot(MONDAY + 24 * HOUR)["opening_equity"] == 1103


def test_the_day_on_which_the_account_opened_opens_with_its_first_value(harness: Harness) -> None:
    first = harness.reader.account.snapshot(MONDAY + HOUR)
    harness.journal.save_snapshot("paper", first["at"], first)
    assert harness.reader.account.snapshot(MONDAY + 4 * HOUR)["opening_equity"] == first["equity"] == 1100


def test_a_midnight_without_a_price_falls_back_to_the_newest_snapshot(harness: Harness) -> None:
    table = MemoryTable(CANDLE_SCHEMA)
    table.write(PAIR, date(2024, 1, 1), candles().tail(40))
    harness.materialise("2024-01-01")
    late = with_market(harness.reader, candles=table).account.snapshot(MONDAY + 40 * HOUR)
    assert late["opening_equity"] == 1103


def test_a_snapshot_from_before_results_were_kept_is_still_read(harness: Harness) -> None:
    old = {
        "at": MONDAY, "quote": "USDT", "equity": Decimal(2000), "opening_equity": Decimal(2000),
        "peak_equity": Decimal(2000), "balances": OPENING, "allocation": {"USDT": 0.9, "BTC": 0.1},
    }  # fmt: skip
    harness.journal.save_snapshot("paper", MONDAY, old)
    assert harness.materialise("2024-01-02")["drawdown"] == pytest.approx(1 - 1121 / 2000, rel=1e-3)


def test_a_fill_that_arrives_between_two_reads_is_in_both(harness: Harness) -> None:
    class Busy(MemoryJournal):
        """Fills one more order right after the fills were read for the first time."""

        def __init__(self) -> None:
            self.__dict__ = harness.journal.__dict__
            self.waiting = True

        def fills(self, account: str, *, of_positions: bool = False) -> list[Fill]:
            known = super().fills(account, of_positions=of_positions)
            if self.waiting:
                self.waiting = False
                harness.fill(4, Side.SELL, "1", "120", MONDAY + 4 * HOUR)
            return known

    busy = Busy()
    reader = replace(harness.reader, account=replace(harness.reader.account, journal=busy))
    shown = harness.materialise("2024-01-01", journal=busy, input_reader=reader)
    assert (shown["realised_pnl"], shown["fees"]) == (25, 3)


def test_an_account_that_never_traded_shows_no_trades(tmp_path: Path) -> None:
    shown = Harness(tmp_path).materialise("2024-01-01")
    assert shown["net_pnl"] == 0
    assert shown["open"].records == shown["last_closed"].records == []
