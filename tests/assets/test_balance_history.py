"""The balance history through Dagster: what a person sees of a day, and a check that finds damage."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import psycopg
import pytest

from assets.balance_history import balance_history, minutes_agree_with_the_ledger
from ml.decision.clock import ClockReading
from orchestration.commands.portfolio import newest_minute
from tests.contracts.trade import BTC, bought, opened
from trading.account import Account
from trading.account_minute import MINUTE, AccountMinute, PriceReading, account_minute
from trading.stores.postgres import PostgresJournal
from trading.stores.postgres.balance_history import PostgresBalanceHistory, PostgresMinuteWriter
from trading.stores.postgres.stream import StreamOutbox

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OPENED = datetime(2020, 2, 21, 11, tzinfo=UTC)  # `opened`; `bought` buys at 13:00
FRIDAY = datetime(2020, 2, 21, tzinfo=UTC)
ACCOUNT = Account("paper", "USDT", Decimal(1000), {}, "USDT")


class Harness:
    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.journal = PostgresJournal(dsn)
        opened(self.journal)
        bought(self.journal)
        self.outbox = StreamOutbox(dsn, "venue", "test")
        self.outbox.open()
        self.writer = PostgresMinuteWriter(dsn, "paper", "venue", lambda: self.outbox.epoch)
        self.history = PostgresBalanceHistory(dsn)
        self.now = FRIDAY + 3 * DAY

    def write(self, start: datetime, end: datetime, *, seen: bool = True) -> None:
        """The minutes of [start, end) on a market that swings once in a day."""
        made: list[AccountMinute] = []
        for number in range((end - start) // MINUTE):
            minute = start + number * MINUTE
            at = minute + MINUTE + timedelta(milliseconds=70)
            turn = (minute - FRIDAY) / DAY * 2 * math.pi
            prices = {BTC: Decimal(round(10_000 + 500 * math.sin(turn)))} if seen else {}
            reading = PriceReading(at, prices, {} if seen else {BTC: "feed"})
            made.append(account_minute("paper", "USDT", minute, reading, self.writer.booked(at), known_at=at))
        self.writer.write(made)

    def run(self, day: str = "2020-02-21") -> dg.ExecuteInProcessResult:
        with dg.DagsterInstance.ephemeral() as instance:
            return dg.materialize(
                [balance_history, minutes_agree_with_the_ledger],
                instance=instance,
                partition_key=day,
                resources={
                    "account": ACCOUNT,
                    "journal": self.journal,
                    "clock": lambda: ClockReading(self.now, "a test"),
                    "account_minutes": self.history,
                },
            )

    def show(self, day: str = "2020-02-21") -> dict[str, Any]:
        (event,) = self.run(day).asset_materializations_for_node("balance_history")
        return {name: value.value for name, value in event.metadata.items()}

    def faults(self, day: str = "2020-02-21") -> dict[str, list[str]]:
        (verdict,) = self.run(day).get_asset_check_evaluations()
        found: dict[str, list[str]] = verdict.metadata["faults"].value  # type: ignore[assignment]
        assert verdict.passed == (not found)
        return found

    def damage(self, change: str, minute: datetime) -> None:
        with psycopg.connect(self.dsn) as connection:
            done = connection.execute(
                f"UPDATE account_minutes SET {change} WHERE minute = %s".encode(), (minute,)
            )
            assert done.rowcount == 1


@pytest.fixture
def harness(dsn: str) -> Iterator[Harness]:
    made = Harness(dsn)
    yield made
    made.outbox.close()
    made.writer.close()


def rows_of(table: Any) -> list[list[str]]:
    return [list(each.data.values()) for each in table.records]


def test_a_whole_day_is_drawn_and_its_end_is_in_numbers(harness: Harness) -> None:
    harness.write(OPENED, FRIDAY + DAY)
    shown = harness.show()
    assert (shown["dagster/row_count"], shown["missing_minutes"], shown["unpriced_minutes"]) == (780, 0, 0)
    assert shown["missing"].records == []
    for name in ("equity", "unrealised", "exposure", "drawdown"):
        assert "data:image/svg+xml" in shown[f"{name}_by_minute"]
        assert len(shown[f"{name}_by_minute"]) < 1000
    last = harness.history.minutes("paper", FRIDAY, FRIDAY + DAY)[-1]
    assert shown["equity"] == pytest.approx(float(last.equity or 0), abs=0.01)
    assert shown["unrealised_pnl"] == pytest.approx(float(last.unrealised_pnl or 0), rel=1e-3)
    assert shown["gross_exposure"] == shown["net_exposure"] > 0
    [position] = rows_of(shown["open"])
    assert position[:3] == ["BTC/USDT", "0.01", "10,000"]
    assert rows_of(shown["balances"])[0][:2] == ["BTC", "0.06"]


def test_minutes_without_a_stream_are_named_as_missing_and_not_filled(harness: Harness) -> None:
    harness.write(OPENED, OPENED + 2 * HOUR)
    harness.write(OPENED + 3 * HOUR, FRIDAY + DAY - 5 * MINUTE)
    shown = harness.show()
    assert (shown["dagster/row_count"], shown["missing_minutes"]) == (715, 65)
    assert rows_of(shown["missing"]) == [["13:00", "14:00", "60"], ["23:55", "00:00", "5"]]
    assert "fbb" in shown["equity_by_minute"]


def test_of_the_running_day_only_minutes_that_have_ended_can_be_missing(harness: Harness) -> None:
    harness.write(OPENED, OPENED + HOUR)
    harness.now = OPENED + HOUR + 30 * timedelta(seconds=1)
    assert harness.show()["missing_minutes"] == 0
    harness.now += 10 * MINUTE
    assert harness.show()["missing_minutes"] == 9


def test_minutes_whose_price_nobody_saw_are_counted_and_their_values_are_unknown(harness: Harness) -> None:
    harness.write(OPENED, FRIDAY + DAY - HOUR)
    harness.write(FRIDAY + DAY - HOUR, FRIDAY + DAY, seen=False)
    shown = harness.show()
    assert (shown["missing_minutes"], shown["unpriced_minutes"]) == (0, 60)
    assert "equity" not in shown
    assert shown["unseen"] == {"BTC/USDT": "feed"}
    assert rows_of(shown["open"])[0][3:5] == ["unknown", "unknown"]
    assert rows_of(shown["day_ends"])[0][1] == "unknown"
    assert harness.faults() == {}


def test_a_day_without_a_stream_shows_that_nothing_is_there(harness: Harness) -> None:
    shown = harness.show("2020-02-22")
    assert (shown["dagster/row_count"], shown["missing_minutes"]) == (0, 1440)
    assert "equity_by_minute" not in shown


def test_the_ends_of_the_days_before_are_listed_newest_first(harness: Harness) -> None:
    for number in range(3):
        harness.write(FRIDAY + DAY * (number + 1) - MINUTE, FRIDAY + DAY * (number + 1))
    harness.now += 3 * DAY
    assert [row[0] for row in rows_of(harness.show("2020-02-23")["day_ends"])] == [
        "02-23 23:59",
        "02-22 23:59",
        "02-21 23:59",
    ]


def test_what_is_booked_after_a_minute_is_no_fault_of_it(harness: Harness) -> None:
    harness.write(OPENED, OPENED + 3 * HOUR)
    bought(harness.journal, "decision-2")  # filled at 13:00 as well, heard of later
    assert harness.faults() == {}
    harness.write(OPENED + 3 * HOUR, OPENED + 4 * HOUR)
    assert harness.faults() == {}


LAST = OPENED + 3 * HOUR - MINUTE


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("equity = equity + 1", "equity is not the sum of its balances"),
        ("equity = NULL", "equity is not the sum of its balances"),
        ("peak_equity = equity - 1", "the peak is below the equity"),
        ("newest_entry = 2", "the ledger had 0.05 BTC, 1000 USDT, not 0.06 BTC, 899.74 USDT"),
        ('prices = \'{"BTC/USDT": "1"}\'', "the ledger's balances are not worth the equity at these prices"),
    ],
)
def test_a_damaged_minute_is_found(harness: Harness, change: str, fault: str) -> None:
    harness.write(OPENED, OPENED + 3 * HOUR)
    assert harness.faults() == {}
    harness.damage(change, LAST)
    assert fault in [each for faults in harness.faults().values() for each in faults]


def test_the_portfolio_command_reads_the_newest_minute_of_the_last_two_days(harness: Harness) -> None:
    assert newest_minute(harness.history, "paper", FRIDAY) is None
    harness.write(OPENED, OPENED + HOUR)
    last = harness.history.minutes("paper", FRIDAY, FRIDAY + DAY)[-1]
    for at in (OPENED, OPENED + DAY):
        found = newest_minute(harness.history, "paper", at)
        assert found is not None
        assert (found["at"], found["equity"]) == (last.at, last.equity)
    assert newest_minute(harness.history, "paper", OPENED + 2 * DAY) is None
