from dataclasses import replace
from decimal import Decimal, localcontext

import pytest

from tests.trading.risk.risk_case import (
    BUY_BACK,
    CALM,
    CLOSE,
    FRESH,
    INSTRUMENT,
    LIMITS,
    LONG,
    SHORT,
    STATE,
    decide,
    refused_by,
    verdict,
)
from trading.risk import RULES
from trading.risk.assessment import build_rule_inputs
from trading.risk.exact import EXACT


def test_the_size_risks_the_allowed_share_at_the_stop() -> None:
    narrow = replace(LIMITS, risk_per_trade=0.002)
    assert decide(limits=narrow).adjusted_size == Decimal("10")
    assert verdict(decide(limits=narrow), "risk per trade").value == 0.002


def test_the_size_is_converted_from_the_equity_currency() -> None:
    narrow = replace(LIMITS, risk_per_trade=0.002)
    assert decide(state=replace(STATE, quote_rate=2.0), limits=narrow).adjusted_size == Decimal("5")


def test_the_position_cap_counts_what_the_pair_already_holds() -> None:
    assert decide().adjusted_size == Decimal("20")
    assert decide(state=replace(STATE, position_value=500.0)).adjusted_size == Decimal("15")


def test_a_position_above_its_cap_may_not_grow() -> None:
    assert refused_by(decide(state=replace(STATE, position_value=2001.0)), "position cap")


def test_a_position_at_its_cap_leaves_no_quantity_and_says_why() -> None:
    assessment = decide(state=replace(STATE, position_value=2000.0))
    assert refused_by(assessment, "minimum quantity")
    assert "position cap" in assessment.rejection_reason


def test_total_exposure_bounds_the_size() -> None:
    assert decide(state=replace(STATE, exposure_value=5900.0)).adjusted_size == Decimal("1")
    assert refused_by(decide(state=replace(STATE, exposure_value=6100.0)), "total exposure")


def test_a_purchase_leaves_the_reserve_and_the_fee_in_the_quote_balance() -> None:
    assessment = decide(state=replace(STATE, available_quote=Decimal("1000")))
    assert assessment.adjusted_size == Decimal("4.987")  # (1000 - 5 % of 10,000) / 100.26, rounded down
    assert verdict(assessment, "balance").value <= 500


def test_a_sale_is_backed_by_inventory_less_the_reserve() -> None:
    assert decide(SHORT, replace(STATE, available_base=Decimal("10"))).adjusted_size == Decimal("5.000")


def test_repeated_sales_never_use_up_the_reserve() -> None:
    left = Decimal("30")
    for _ in range(50):
        left -= decide(SHORT, replace(STATE, available_base=left)).adjusted_size
    assert left == 5  # 500 at a price of 100


def test_the_reserve_is_counted_in_the_equity_currency() -> None:
    state = replace(STATE, quote_rate=0.5, available_quote=Decimal("1500"))
    assert decide(state=state).adjusted_size == Decimal("4.987")  # 500 are 1000 in a quote worth half


def test_a_sale_without_inventory_is_refused() -> None:
    assessment = decide(SHORT, replace(STATE, available_base=0.0))
    assert refused_by(assessment, "balance")


def test_closing_is_bound_by_the_whole_free_balance() -> None:
    held = replace(STATE, available_base=Decimal("2.9876"))
    assert decide(CLOSE, held).adjusted_size == Decimal("2.987")


def test_buying_back_pays_the_fee_from_the_whole_quote_balance() -> None:
    state = replace(STATE, available_quote=Decimal("100.26"))
    assert decide(BUY_BACK, state).adjusted_size == Decimal("1.000")


def test_a_purchase_ties_up_its_whole_cost_and_the_fee() -> None:
    poor = replace(STATE, available_quote=Decimal("600"))
    assert decide(LONG, poor).adjusted_size == Decimal("0.997")  # 600 less a reserve of 500, / 100.26


@pytest.mark.parametrize("asset", ["base_exposure", "quote_exposure"])
def test_positions_of_one_asset_are_capped_together(asset: str) -> None:
    held = replace(STATE, exposure_value=3900.0)
    assert decide(state=replace(held, **{asset: 3900.0})).adjusted_size == Decimal("1")
    assert refused_by(decide(state=replace(held, **{asset: 4000.1})), "asset cap")


@pytest.mark.parametrize(
    ("rule", "size"),
    [
        ("BTC correlation", "20.001"), ("risk per trade", "50.001"), ("position cap", "20.001"),
        ("asset cap", "40.001"), ("total exposure", "60.001"), ("balance", "44.884"),
        ("quantity increment", "19.9995"), ("minimum quantity", "0.001"), ("minimum cost", "0.049"),
    ],
)  # fmt: skip
def test_an_unbounded_size_is_refused_by_each_rule_of_size(rule: str, size: str) -> None:
    with localcontext(EXACT):
        case = build_rule_inputs(LONG, STATE, CALM, FRESH, INSTRUMENT, LIMITS)
        assert RULES[rule](case).passes
        assert not RULES[rule](replace(case, size=Decimal(size))).passes


@pytest.mark.parametrize(
    ("share", "size"), [(None, "20"), (1.0, "20"), (0.2, "20"), (0.1, "10"), (0.001, "0.1")]
)
def test_a_share_that_is_asked_for_only_ever_makes_the_size_smaller(share: float | None, size: str) -> None:
    assert decide(replace(LONG, wanted_share=share)).adjusted_size == Decimal(size)


@pytest.mark.parametrize("share", [0.0, -1.0, float("nan"), float("inf"), "a lot"])
def test_a_share_that_is_none_leaves_no_order(share: object) -> None:
    refused = decide(replace(LONG, wanted_share=share))  # type: ignore[arg-type]
    assert (refused.approved, refused.adjusted_size) == (False, Decimal(0))


def test_closing_is_bound_by_no_share_that_is_asked_for() -> None:
    assert decide(replace(CLOSE, wanted_share=0.001)).adjusted_size == decide(CLOSE).adjusted_size
