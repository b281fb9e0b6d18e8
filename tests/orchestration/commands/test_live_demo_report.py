"""What a live demo says at its end: that everything is stored, and plainly what was not shown."""

import io
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestration.commands.compare_tape import TablePart, TapeComparison
from orchestration.commands.live_demo_facts import COMMITTED, CREATED, Latency
from orchestration.commands.live_demo_report import Outcome, show_outcome
from trading.market import Pair
from trading.orders import Fill, OrderKind, Side
from trading.parity import ParityReport

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
        closed_by={(str(PAIR), OrderKind.STOP): 7},
        latencies=[
            Latency(str(PAIR), BEGAN.isoformat(), {CREATED: 0.1, COMMITTED: seconds})
            for seconds in (4.0, 0.5)
        ],
        failures=[],
        parity=None,
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


def test_it_says_how_positions_ended_and_how_long_each_stage_took(outcome: Outcome) -> None:
    lines = shown(outcome).splitlines()
    assert any(re.search(r"BTC/USDT │ 1 +│ 1 LONG +│ 1 +│ 7 +│ 0", line) for line in lines)
    assert any(re.search(r"decision committed +│ +2 │ +0.50 │ +4.00 │ +4.00 │ +4.00", line) for line in lines)
    assert any(re.search(r"run created +│ +2 │ +0.10", line) for line in lines)


@pytest.mark.parametrize(
    ("number", "shown_as"),
    [
        (1, ("1.00",) * 4),
        (10, ("5.00", "9.00", "10.00", "10.00")),
        (200, ("100.00", "180.00", "198.00", "200.00")),
    ],
)
def test_a_quantile_is_the_least_latency_that_such_a_share_does_not_exceed(
    outcome: Outcome, number: int, shown_as: tuple[str, ...]
) -> None:
    latencies = [
        Latency(str(PAIR), BEGAN.isoformat(), {COMMITTED: float(each + 1)}) for each in range(number)
    ]
    lines = shown(replace(outcome, latencies=latencies)).splitlines()
    wanted = r"decision committed +│ +" + " │ +".join(map(re.escape, (str(number), *shown_as))) + " "
    assert any(re.search(wanted, line) for line in lines)


def test_a_recording_that_is_too_short_says_how_much_history_decisions_need(outcome: Outcome) -> None:
    text = shown(replace(outcome, decides=False, receipts=[], latencies=[]))
    assert "No decisions: decisions need twelve days of history, and this recording is shorter" in text


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


@pytest.mark.parametrize(
    ("of_no_fill", "verdict"),
    [
        ("0", "Nothing is missing, doubled or different"),
        ("-12.5", "A part of the difference between the day and its back-test has no cause"),
    ],
)
def test_a_day_is_a_success_when_its_difference_to_the_back_test_is_explained(
    outcome: Outcome, of_no_fill: str, verdict: str
) -> None:
    opening, none = Decimal(1000), Decimal(0)
    report = ParityReport(
        date(2024, 3, 14), "main", "USDT", opening, opening + Decimal(of_no_fill), none, none, none, []
    )
    audited = replace(outcome, parity=report)
    assert audited.succeeded is (of_no_fill == "0")
    text = shown(audited)
    assert verdict in text
    assert "did not end" not in text
    assert "did not end" in shown(outcome)
