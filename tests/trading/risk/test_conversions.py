"""An order that turns one asset into another has no stop and no position, and passes every other rule."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.trading.risk.risk_case import CLOSE, FRESH, INSTRUMENT, LIMITS, STATE, decide, refused_by
from trading.market import PairStatus
from trading.orders import Side
from trading.risk import Halt, HaltKind
from trading.risk.rules import POSITION_ONLY

SELL = replace(CLOSE, reduces=False, converts=True)
BUY = replace(SELL, side=Side.BUY)


def test_it_takes_the_quantity_that_is_asked_without_stop_or_target() -> None:
    assessment = decide(SELL)
    assert assessment.approved
    assert assessment.adjusted_size == Decimal("3.000")
    assert (assessment.stop_loss_price, assessment.take_profit_price) == (None, None)
    assert all(assessment.answers[name].sentence.startswith("guards positions") for name in POSITION_ONLY)


def test_it_leaves_the_reserve_in_the_asset_that_it_spends() -> None:
    poor = replace(STATE, available_quote=Decimal(600))
    spent = decide(BUY, poor).adjusted_size * 100 * (1 + INSTRUMENT.taker_fee)
    assert 0 < spent <= 600 - Decimal(str(LIMITS.reserve)) * 10_000


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("drawdown", replace(STATE, equity=8_900.0)),
        ("daily loss", replace(STATE, equity=9_650.0, equity_peak=9_700.0)),
        ("order rate", replace(STATE, recent_orders=LIMITS.orders_per_minute)),
        ("numbers", replace(STATE, equity=math.nan)),
    ],
)
def test_it_is_refused_where_an_entry_is(rule: str, state: object) -> None:
    assert refused_by(decide(SELL, state), rule)  # type: ignore[arg-type]


def test_a_halt_stops_it() -> None:
    halt = Halt(HaltKind.DRAWDOWN, datetime(2024, 1, 1, tzinfo=UTC), None, "lost")
    assert refused_by(decide(SELL, replace(STATE, halts=(halt,))), "drawdown")


def test_old_inputs_and_a_venue_that_takes_no_orders_stop_it() -> None:
    assert refused_by(decide(SELL, ages=replace(FRESH, candle=3.0)), "candle age")
    assert refused_by(decide(SELL, ages=replace(FRESH, prices=30.0)), "price age")
    closed = replace(INSTRUMENT, status=PairStatus.REDUCE_ONLY)
    assert refused_by(decide(SELL, instrument=closed), "status")


def test_a_quantity_that_is_no_number_is_refused() -> None:
    assert refused_by(decide(replace(SELL, reduce_quantity=Decimal("NaN"))), "numbers")
    assert refused_by(decide(replace(SELL, reduce_quantity=None)), "numbers")
