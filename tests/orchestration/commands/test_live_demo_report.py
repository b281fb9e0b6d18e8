"""What a live demo says at its end: that everything is stored, and plainly what was not shown."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestration.commands.compare_tape import TablePart, TapeComparison
from orchestration.commands.live_demo_facts import Latency
from orchestration.commands.live_demo_report import Outcome, show_outcome
from trading.market import Pair
from trading.orders import Fill, Side

BEGAN = datetime(2024, 3, 14, 19, 4, tzinfo=UTC)
PAIR = Pair("BTC", "USDT")
FILL = Fill(
    "f", "i", "main", PAIR, Side.BUY, Decimal("66000.1"), Decimal("0.006"), Decimal("1"), "USDT", BEGAN
)


def part(table: str, expected: int, missing: int = 0) -> TablePart:
    stored = expected - missing
    return TablePart(
        table, str(PAIR), expected, stored, missing, doubled=0, different=0, unknown=0, examples=()
    )


def receipt(**changes: Any) -> dict[str, Any]:
    values = {
        "decision_id": "0123456789abcdef",
        "pair": str(PAIR),
        "decided_at": BEGAN.isoformat(),
        "action": "LONG",
        "intent": {"quantity": "0.006"},
        "outcome": "buy 0.006 BTC at the next price: LONG at confidence 0.80",
    }
    return values | changes


@pytest.fixture
def outcome() -> Outcome:
    parts = (part("bus trades", 40), part("tape trades", 40), part("bus candles 1m", 10), part("fills", 1))
    return Outcome(
        label="SIMULATED market, seed 1: not real prices",
        home=Path("home"),
        comparison=TapeComparison(BEGAN, BEGAN + timedelta(minutes=10), parts),
        receipts=[receipt()],
        fills=[FILL],
        latencies=[Latency(str(PAIR), BEGAN.isoformat(), 4.0)],
        failures=[],
        decides=True,
        seconds=240.0,
    )


def shown(outcome: Outcome) -> str:
    out = Console(file=io.StringIO(), width=200)
    show_outcome(outcome, out)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_a_demo_whose_fills_were_compared_counts_them_and_shows_its_orders(outcome: Outcome) -> None:
    text = shown(outcome)
    assert "Nothing is missing, doubled or different: 40 trades, 10 candles, 1 fill, in every place" in text
    assert "19:04:00 BTC/USDT: buy 0.006 BTC at the next price" in text
    assert "19:04:00 BTC/USDT: filled, buy 0.006 at 66000.1" in text
    assert outcome.succeeded


def test_a_demo_without_a_fill_says_that_none_was_compared(outcome: Outcome) -> None:
    parts = tuple(each for each in outcome.comparison.parts if each.table != "fills")
    without = replace(
        outcome,
        comparison=replace(outcome.comparison, parts=parts),
        receipts=[receipt(action="HOLD", intent=None)],
        fills=[],
    )
    text = shown(without)
    assert "40 trades, 10 candles, in every place where they belong." in text
    assert "No order was filled, so no fill was compared" in text
    assert "0 fill" not in text
    assert without.succeeded


def test_decisions_on_history_alone_are_no_success(outcome: Outcome) -> None:
    still = replace(outcome, latencies=[])
    assert not still.succeeded
    assert "No decision followed a candle of the market that moved" in shown(still)


def test_a_fill_that_is_not_booked_is_a_table_that_differs(outcome: Outcome) -> None:
    parts = (*outcome.comparison.parts[:-1], part("fills", 1, missing=1))
    lost = replace(outcome, comparison=replace(outcome.comparison, parts=parts), fills=[])
    assert not lost.succeeded
    assert "1 table of 4 differ" in shown(lost)
