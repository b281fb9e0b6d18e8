from dataclasses import replace
from decimal import Decimal

import pytest

from tests.trading.risk.risk_case import CLOSE, FRESH, INSTRUMENT, LONG, STATE, decide, refused_by
from trading.market import Instrument, PairStatus
from trading.risk import Ages


def test_the_size_is_rounded_down_to_the_increment() -> None:
    coarse = replace(INSTRUMENT, quantity_increment=Decimal("0.3"))
    assert decide(instrument=coarse).adjusted_size == Decimal("19.8")


def test_a_quantity_below_the_venue_s_minimum_is_refused() -> None:
    assert refused_by(
        decide(instrument=replace(INSTRUMENT, minimum_quantity=Decimal("21"))), "minimum quantity"
    )


def test_a_cost_below_the_venue_s_minimum_is_refused() -> None:
    assert refused_by(decide(instrument=replace(INSTRUMENT, minimum_cost=Decimal("2000.1"))), "minimum cost")


@pytest.mark.parametrize("status", [status for status in PairStatus if status is not PairStatus.ONLINE])
def test_a_pair_that_is_not_online_takes_no_entries(status: PairStatus) -> None:
    assert refused_by(decide(instrument=replace(INSTRUMENT, status=status)), "status")


def test_a_proposal_for_another_pair_is_refused() -> None:
    assert refused_by(decide(replace(LONG, pair_key="XRP-USDT")), "pair")


@pytest.mark.parametrize(
    ("instrument", "ages", "rule"),
    [
        (replace(INSTRUMENT, minimum_quantity=Decimal("4")), FRESH, "minimum quantity"),
        (replace(INSTRUMENT, minimum_cost=Decimal("301")), FRESH, "minimum cost"),
        (replace(INSTRUMENT, quantity_increment=Decimal("4")), FRESH, "minimum quantity"),
        (replace(INSTRUMENT, status=PairStatus.CANCEL_ONLY), FRESH, "status"),
        (INSTRUMENT, replace(FRESH, candle=9.0), "candle age"),
    ],
)
def test_a_closing_order_still_passes_the_rules_of_the_venue_and_the_candle_age(
    instrument: Instrument, ages: Ages, rule: str
) -> None:
    assert refused_by(decide(CLOSE, ages=ages, instrument=instrument), rule)


def test_a_reduce_only_pair_lets_a_position_be_closed() -> None:
    assert decide(CLOSE, instrument=replace(INSTRUMENT, status=PairStatus.REDUCE_ONLY)).approved


def test_the_budget_of_orders_in_a_minute_ends_entries_and_never_a_close() -> None:
    busy = replace(STATE, recent_orders=20)
    assert decide(state=replace(STATE, recent_orders=19)).approved
    assert refused_by(decide(state=busy), "order rate")
    assert decide(CLOSE, busy).approved
