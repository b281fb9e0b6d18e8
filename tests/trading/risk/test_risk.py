import json
import math
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.decision.receipt import to_json_value
from tests.trading.risk.risk_case import (
    BORROWING,
    BUY_BACK,
    CALM,
    CLOSE,
    FRESH,
    INSTRUMENT,
    LENT,
    LIMITS,
    LONG,
    SHORT,
    STATE,
    decide,
    other,
    refused_by,
    verdict,
)
from trading.errors import InvalidValue
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Side
from trading.risk import ENTRY_ONLY, RULES, Ages, Halt, HaltKind, MarketState, Proposal
from trading.risk.assessment import build_case
from trading.risk.exact import EXACT

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
BITCOIN = replace(INSTRUMENT, pair=Pair("BTC", "USDT"))


def test_a_sound_proposal_is_approved_with_size_stop_and_take_profit() -> None:
    assessment = decide()
    assert assessment.approved
    assert assessment.rejection_reason == ""
    assert assessment.adjusted_leverage == 1
    assert assessment.stop_loss_price == Decimal("98.0")
    assert assessment.take_profit_price == Decimal("104.0")


def test_every_assessment_shows_every_rule_in_the_documented_order() -> None:
    for proposal in (LONG, SHORT, CLOSE, replace(LONG, entry=math.nan)):
        assert [each.rule for each in decide(proposal).verdicts] == list(RULES)


def test_the_documentation_lists_every_rule_in_its_order_and_what_a_closing_order_skips() -> None:
    text = (Path(__file__).parents[3] / "docs" / "risk.md").read_text(encoding="utf-8")
    rows = [
        line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ") and "`" not in line[:4]
    ]
    table = [(cells[0].strip(), cells[-1].strip()) for cells in rows if cells[0].strip() in RULES]
    assert [name for name, _ in table] == list(RULES)
    assert {name for name, closing in table if closing == "skipped"} == ENTRY_ONLY


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


def test_the_reserve_is_an_amount_that_one_sale_after_another_does_not_eat_up() -> None:
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


def test_the_size_is_rounded_down_to_the_increment() -> None:
    coarse = replace(INSTRUMENT, quantity_increment=Decimal("0.3"))
    assert decide(instrument=coarse).adjusted_size == Decimal("19.8")


def test_a_quantity_below_the_venue_s_minimum_is_refused() -> None:
    assert refused_by(
        decide(instrument=replace(INSTRUMENT, minimum_quantity=Decimal("21"))), "minimum quantity"
    )


def test_a_cost_below_the_venue_s_minimum_is_refused() -> None:
    assert refused_by(decide(instrument=replace(INSTRUMENT, minimum_cost=Decimal("2000.1"))), "minimum cost")


def test_a_missing_stop_or_take_profit_is_refused() -> None:
    assert refused_by(decide(replace(LONG, stop=None)), "stop-loss")
    assert refused_by(decide(replace(LONG, take_profit=None)), "take-profit")


@pytest.mark.parametrize(
    "proposal", [replace(LONG, stop=101.0), replace(LONG, stop=100.0), replace(SHORT, stop=99.0)]
)
def test_a_stop_on_the_wrong_side_is_refused(proposal: Proposal) -> None:
    assert refused_by(decide(proposal), "stop-loss")


@pytest.mark.parametrize(
    "proposal",
    [replace(LONG, take_profit=99.0), replace(SHORT, take_profit=101.0), replace(SHORT, take_profit=-5.0)],
)
def test_a_take_profit_on_the_wrong_side_is_refused(proposal: Proposal) -> None:
    assert refused_by(decide(proposal), "take-profit")


def test_a_stop_too_far_away_is_refused() -> None:
    assert refused_by(decide(replace(LONG, stop=97.9, take_profit=110.0)), "stop-loss")


def test_a_reward_too_small_for_the_risk_is_refused() -> None:
    assert refused_by(decide(replace(LONG, take_profit=102.9)), "take-profit")
    assert decide(replace(LONG, take_profit=103.0)).approved


def test_rounding_moves_the_stop_towards_the_entry_and_the_target_away_from_it() -> None:
    long = decide(replace(LONG, stop=98.04, take_profit=104.01))
    short = decide(replace(SHORT, stop=101.96, take_profit=95.99))
    assert (long.stop_loss_price, long.take_profit_price) == (Decimal("98.1"), Decimal("104.1"))
    assert (short.stop_loss_price, short.take_profit_price) == (Decimal("101.9"), Decimal("95.9"))


def test_a_stop_that_only_rounding_pushed_over_the_limit_is_still_good() -> None:
    assert decide(replace(LONG, stop=97.99999999999999)).stop_loss_price == Decimal("98.0")


def test_a_stop_that_rounding_takes_to_the_entry_is_refused() -> None:
    coarse = replace(INSTRUMENT, price_increment=Decimal("5"))
    assert refused_by(decide(instrument=coarse), "stop-loss")


@pytest.mark.parametrize(
    ("equity", "approved"), [(9_000.01, True), (9_000.0, False), (8_000.0, False), (12_000.0, True)]
)
def test_trading_pauses_once_the_drawdown_is_reached(equity: float, approved: bool) -> None:
    assessment = decide(state=replace(STATE, equity=equity, day_opening_equity=equity))
    assert assessment.approved or refused_by(assessment, "drawdown")
    assert assessment.approved is approved


@pytest.mark.parametrize(("equity", "approved"), [(9_700.01, True), (9_700.0, False)])
def test_the_day_ends_for_entries_once_its_loss_is_reached(equity: float, approved: bool) -> None:
    assessment = decide(state=replace(STATE, equity=equity))
    assert assessment.approved or refused_by(assessment, "daily loss")
    assert assessment.approved is approved


@pytest.mark.parametrize("old", [2.01, -0.01, math.nan, math.inf])
def test_a_candle_that_is_too_old_or_from_the_future_is_refused(old: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, candle=old)), "candle age")


@pytest.mark.parametrize("old", [24.01, -0.01, math.nan, math.inf])
def test_a_price_of_the_account_that_is_too_old_is_refused_and_named(old: float) -> None:
    assessment = decide(ages=replace(FRESH, prices=old, oldest_price="XRP-USDT"))
    assert refused_by(assessment, "price age")
    assert "XRP-USDT" in assessment.rejection_reason


@pytest.mark.parametrize("old", [62.1, -1.0, math.nan])
def test_a_policy_that_is_too_old_is_refused(old: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, policy_days=old)), "policy age")


@pytest.mark.parametrize("old", [72.1, -1.0, math.nan])
def test_sentiment_that_is_too_old_is_refused(old: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, sentiment_hours=old)), "sentiment age")


def test_an_input_that_was_not_used_has_no_age() -> None:
    assessment = decide(ages=Ages(0.0, 0.0, 0.0, None, "", None, None, 0.0))
    assert assessment.approved
    assert verdict(assessment, "policy age").note == verdict(assessment, "sentiment age").note == "not used"


@pytest.mark.parametrize("status", [status for status in PairStatus if status is not PairStatus.ONLINE])
def test_a_pair_that_is_not_online_takes_no_entries(status: PairStatus) -> None:
    assert refused_by(decide(instrument=replace(INSTRUMENT, status=status)), "status")


def test_a_proposal_for_another_pair_is_refused() -> None:
    assert refused_by(decide(replace(LONG, pair_key="XRP-USDT")), "pair")


AMOUNTS = [field.name for field in fields(STATE) if field.name not in ("recent_orders", "others", "halts")]
IMPOSSIBLE = [math.nan, math.inf, -math.inf, -1.0, 1e300, Decimal("sNaN"), Decimal("1e400"), 1e-300]


@pytest.mark.parametrize("wrong", IMPOSSIBLE)
@pytest.mark.parametrize("name", AMOUNTS)
def test_an_impossible_account_number_is_refused_by_name(name: str, wrong: float) -> None:
    assessment = decide(state=replace(STATE, **{name: wrong}))
    assert refused_by(assessment, "numbers")
    assert f"{name} is {wrong}" in assessment.rejection_reason


@pytest.mark.parametrize("wrong", [*IMPOSSIBLE, 0.0])
def test_an_impossible_entry_is_refused_by_name(wrong: float) -> None:
    assert "entry is " in decide(replace(LONG, entry=wrong)).rejection_reason


def changed(name: str, value: Decimal) -> Instrument:
    return replace(INSTRUMENT, **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [Decimal("sNaN"), Decimal("-1"), Decimal("Infinity")])
@pytest.mark.parametrize("name", ["minimum_quantity", "minimum_cost", "taker_fee", "maximum_leverage"])
def test_an_impossible_instrument_is_refused_by_name(name: str, wrong: Decimal) -> None:
    assessment = decide(instrument=changed(name, wrong))
    assert refused_by(assessment, "numbers")
    assert name in assessment.rejection_reason


@pytest.mark.parametrize("name", ["price_increment", "quantity_increment"])
def test_an_infinite_increment_is_refused_by_name(name: str) -> None:
    assert name in decide(instrument=changed(name, Decimal("Infinity"))).rejection_reason


@pytest.mark.parametrize("wrong", [*IMPOSSIBLE, 0.0])
def test_an_impossible_stop_is_refused(wrong: float) -> None:
    assert refused_by(decide(replace(LONG, stop=wrong)), "stop-loss")


def test_closing_takes_the_quantity_that_is_asked_without_prices() -> None:
    assessment = decide(CLOSE)
    assert assessment.approved
    assert assessment.adjusted_size == Decimal("3.000")
    assert (assessment.stop_loss_price, assessment.take_profit_price) == (None, None)


def test_closing_goes_on_after_a_drawdown_with_old_opinions_and_a_broken_equity() -> None:
    lost = replace(STATE, equity=1.0, position_value=9e9, exposure_value=math.nan, available_quote=math.nan)
    assert decide(CLOSE, lost, Ages(0.0, 999.0, 999.0, 999.0, "XRP-USDT", 999.0, 999.0, 999.0)).approved


def test_buying_back_does_not_need_to_know_the_base_balance() -> None:
    assert decide(BUY_BACK, replace(STATE, available_base=math.nan)).approved


def test_closing_is_bound_by_the_whole_free_balance() -> None:
    held = replace(STATE, available_base=Decimal("2.9876"))
    assert decide(CLOSE, held).adjusted_size == Decimal("2.987")


def test_buying_back_pays_the_fee_from_the_whole_quote_balance() -> None:
    state = replace(STATE, available_quote=Decimal("100.26"))
    assert decide(BUY_BACK, state).adjusted_size == Decimal("1.000")


@pytest.mark.parametrize(
    "quantity", [None, Decimal("0"), Decimal("-1"), Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity")]
)
def test_closing_an_impossible_quantity_is_refused(quantity: Decimal | None) -> None:
    assert refused_by(decide(replace(CLOSE, reduce_quantity=quantity)), "numbers")


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
def test_closing_still_answers_to_the_venue_and_the_clock(
    instrument: Instrument, ages: Ages, rule: str
) -> None:
    assert refused_by(decide(CLOSE, ages=ages, instrument=instrument), rule)


def test_a_reduce_only_pair_lets_a_position_be_closed() -> None:
    assert decide(CLOSE, instrument=replace(INSTRUMENT, status=PairStatus.REDUCE_ONLY)).approved


@pytest.mark.parametrize("proposal", [LONG, SHORT])
def test_the_stop_trails_after_a_gain_of_one_and_a_half_times_the_risk(proposal: Proposal) -> None:
    assessment = decide(proposal)
    assert assessment.trailing_after_price == 100 + proposal.side.sign * 3
    assert assessment.trailing_distance == 2
    assert "behind the best price" in verdict(assessment, "trailing stop").note


def test_a_gain_that_would_take_the_price_below_zero_can_never_start_the_trailing_stop() -> None:
    late = replace(LIMITS, trailing_after=60.0)
    assert refused_by(decide(SHORT, limits=late), "trailing stop")


def test_on_spot_nothing_is_borrowed_however_much_is_proposed() -> None:
    assessment = decide(replace(BORROWING, leverage=3.0))
    assert assessment.approved
    assert assessment.adjusted_leverage == 1


@pytest.mark.parametrize(("asked", "used"), [(1.0, "1"), (2.0, "2"), (3.0, "3"), (50.0, "3")])
def test_leverage_is_what_is_proposed_up_to_the_limit(asked: float, used: str) -> None:
    assert decide(replace(BORROWING, leverage=asked), instrument=LENT).adjusted_leverage == Decimal(used)


def test_the_venue_s_own_maximum_leverage_comes_first() -> None:
    two = replace(INSTRUMENT, maximum_leverage=Decimal(2))
    assert decide(BORROWING, instrument=two).adjusted_leverage == 2


def test_without_a_live_record_nothing_is_borrowed() -> None:
    assert decide(replace(BORROWING, live_record=False), instrument=LENT).adjusted_leverage == 1


@pytest.mark.parametrize(
    ("volatility", "used"),
    [(0.0, "3"), (0.5, "3"), (0.75, "2"), (0.9, "1.66"), (1.5, "1"), (80.0, "1"), (None, "1")],
)
def test_leverage_shrinks_as_volatility_rises_and_is_1_while_it_is_not_known(
    volatility: float | None, used: str
) -> None:
    market = MarketState(volatility, 0.0)
    assert decide(BORROWING, instrument=LENT, market=market).adjusted_leverage == Decimal(used)


@pytest.mark.parametrize("wrong", [0.99, 0.0, -3.0, math.nan, math.inf, 1e300])
def test_an_impossible_leverage_is_refused(wrong: float) -> None:
    assert refused_by(decide(replace(BORROWING, leverage=wrong), instrument=LENT), "leverage")


def test_leverage_ties_up_less_of_the_balance_and_pays_the_whole_fee() -> None:
    poor = replace(STATE, available_quote=Decimal("600"))
    assert decide(BORROWING, poor, instrument=LENT).adjusted_size == Decimal("2.976")  # 100 x 3 / 100.78


def test_leverage_does_not_make_a_position_larger_than_its_cap() -> None:
    assert decide(BORROWING, instrument=LENT).adjusted_size == decide().adjusted_size == 20


def test_a_third_position_that_would_lose_with_two_others_is_refused() -> None:
    two = replace(STATE, others=(other(0.9), other(0.81)))
    assert refused_by(decide(state=two), "correlated positions")
    assert decide(state=replace(STATE, others=(other(0.9), other(0.8)))).approved


def test_a_position_on_the_other_side_of_an_opposite_market_counts_and_a_hedge_does_not() -> None:
    opposite = replace(STATE, others=(other(-0.9, Side.SELL), other(-0.9, Side.SELL)))
    assert refused_by(decide(state=opposite), "correlated positions")
    assert decide(state=replace(STATE, others=(other(0.9, Side.SELL), other(0.9, Side.SELL)))).approved


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_a_correlation_that_is_not_known_counts_as_high(unknown: float | None) -> None:
    assert refused_by(decide(state=replace(STATE, others=(other(unknown),) * 2)), "correlated positions")


@pytest.mark.parametrize(
    ("correlation", "size"), [(0.8, "20"), (0.81, "10"), (-0.81, "10"), (1.0, "10"), (None, "10")]
)
def test_a_pair_that_moves_with_bitcoin_gets_half_the_size(correlation: float | None, size: str) -> None:
    market = replace(CALM, btc_correlation=correlation)
    assert decide(market=market).adjusted_size == Decimal(size)


def test_bitcoin_itself_is_not_compared_with_bitcoin() -> None:
    proposal = replace(LONG, pair_key="BTC-USDT")
    market = replace(CALM, btc_correlation=None)
    assert decide(proposal, instrument=BITCOIN, market=market).adjusted_size == 20


@pytest.mark.parametrize("asset", ["base_exposure", "quote_exposure"])
def test_positions_of_one_asset_are_capped_together(asset: str) -> None:
    held = replace(STATE, exposure_value=3900.0)
    assert decide(state=replace(held, **{asset: 3900.0})).adjusted_size == Decimal("1")
    assert refused_by(decide(state=replace(held, **{asset: 4000.1})), "asset cap")


def test_the_budget_of_orders_in_a_minute_ends_entries_and_never_a_close() -> None:
    busy = replace(STATE, recent_orders=20)
    assert decide(state=replace(STATE, recent_orders=19)).approved
    assert refused_by(decide(state=busy), "order rate")
    assert decide(CLOSE, busy).approved


@pytest.mark.parametrize("wrong", [-1, math.nan])
def test_an_impossible_count_of_orders_is_refused_by_name(wrong: float) -> None:
    assert "recent_orders is" in decide(state=replace(STATE, recent_orders=wrong)).rejection_reason  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "until", "says"),
    [
        (HaltKind.DRAWDOWN, None, "until a person resumes"),
        (HaltKind.DAILY_LOSS, NOON + timedelta(hours=12), "until 2024-05-07 00:00 UTC"),
        (HaltKind.LOSING_STREAK, NOON + timedelta(minutes=30), "until 2024-05-06 12:30 UTC"),
    ],
)
def test_a_halt_closes_its_rule_although_equity_has_recovered(
    kind: HaltKind, until: datetime | None, says: str
) -> None:
    halted = replace(STATE, halts=(Halt(kind, NOON, until, "as it was"),))
    assessment = decide(state=halted)
    assert refused_by(assessment, kind.value)
    assert says in assessment.rejection_reason
    assert "as it was" in assessment.rejection_reason
    assert decide(CLOSE, halted).approved


def test_every_halt_has_a_rule_of_its_name() -> None:
    assert {kind.value for kind in HaltKind} <= set(RULES)


@pytest.mark.parametrize(
    ("name", "rule"), [("features", "feature age"), ("balance", "balance age"), ("candle", "candle age")]
)
@pytest.mark.parametrize("old", [2.01, -0.01, math.nan, math.inf])
def test_an_input_older_than_its_limit_is_refused_by_name(name: str, rule: str, old: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, **{name: old})), rule)


@pytest.mark.parametrize("skew", [2.01, -1.0, math.nan, math.inf])
def test_an_input_from_the_future_is_refused(skew: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, clock_skew_seconds=skew)), "clock skew")


@pytest.mark.parametrize(
    ("market", "name"),
    [
        (MarketState(math.nan, 0.0), "volatility"),
        (MarketState(-0.1, 0.0), "volatility"),
        (MarketState(math.inf, 0.0), "volatility"),
        (MarketState(0.1, math.nan), "btc_correlation"),
        (MarketState(0.1, 1.01), "btc_correlation"),
    ],
)
def test_an_impossible_market_is_refused_by_name(market: MarketState, name: str) -> None:
    assert f"{name} is" in decide(market=market).rejection_reason


def test_a_number_with_more_digits_than_any_amount_is_refused() -> None:
    long = Decimal("1000." + "1" * 60)
    assert (
        "available_quote is 1000.111" in decide(state=replace(STATE, available_quote=long)).rejection_reason
    )


@pytest.mark.parametrize("proposal", [LONG, SHORT, CLOSE, replace(LONG, entry=math.nan)])
def test_an_assessment_is_json_with_every_rule_in_words(proposal: Proposal) -> None:
    told = json.loads(json.dumps(to_json_value(decide(proposal).facts())))
    assert [each["rule"] for each in told["verdicts"]] == list(RULES)
    assert all(each["note"] for each in told["verdicts"])
    assert set(told["verdicts"][0]) == {"rule", "value", "limit", "passes", "note"}


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("risk_per_trade", 0.06, "above 0, up to 0.05"),
        ("correlated_size", 0.0, "above 0, up to 1"),
        ("leverage", 3.5, "from 1 to 3"),
        ("leverage", 0.5, "from 1 to 3"),
        ("reserve", -0.1, "from 0 to 0.5"),
        ("losing_streak", 0, "from 1 to 100"),
        ("cool_down_minutes", math.nan, "above 0"),
        ("orders_per_minute", math.inf, "from 1 to 10000"),
    ],
)
def test_an_impossible_limit_is_an_error_naming_field_value_and_range(
    name: str, wrong: float, said: str
) -> None:
    with pytest.raises(InvalidValue, match=rf"{name} is {wrong}: allowed is {said}"):
        replace(LIMITS, **{name: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "size"),
    [
        ("BTC correlation", "20.001"),
        ("risk per trade", "50.001"),
        ("position cap", "20.001"),
        ("asset cap", "40.001"),
        ("total exposure", "60.001"),
        ("balance", "44.884"),
        ("quantity increment", "19.9995"),
        ("minimum quantity", "0.001"),
        ("minimum cost", "0.049"),
    ],
)
def test_a_size_that_nobody_bounded_is_caught_by_its_rule(rule: str, size: str) -> None:
    with localcontext(EXACT):
        case = build_case(LONG, STATE, CALM, FRESH, INSTRUMENT, LIMITS)
        assert RULES[rule](case).passes
        assert not RULES[rule](replace(case, size=Decimal(size))).passes


@pytest.mark.parametrize("entry", [np.float32(100), np.float64(100), np.int64(100), 100, Decimal(100)])
def test_every_kind_of_number_means_the_same(entry: Any) -> None:
    assert decide(replace(LONG, entry=entry)) == decide()


@pytest.mark.parametrize("wrong", ["100", True, None, b"100", [100.0], np.array([100.0]), np.bool_(True), 1j])
def test_what_is_no_number_is_refused_by_name(wrong: Any) -> None:
    assert "entry is" in decide(replace(LONG, entry=wrong)).rejection_reason
    assert refused_by(decide(replace(LONG, stop=wrong)), "stop-loss")
    assert refused_by(decide(state=replace(STATE, equity=wrong)), "numbers")


@pytest.mark.parametrize("wrong", [None, math.nan, "0.1", True])
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("candle", "candle age"),
        ("features", "feature age"),
        ("balance", "balance age"),
        ("clock_skew_seconds", "clock skew"),
    ],
)
def test_an_age_that_every_decision_needs_and_nobody_knows_is_refused(
    name: str, rule: str, wrong: Any
) -> None:
    assessment = decide(ages=replace(FRESH, **{name: wrong}))
    assert refused_by(assessment, rule)
    assert ("nan" if isinstance(wrong, float) else "not known") in assessment.rejection_reason


@pytest.mark.parametrize("wrong", [None, math.nan, "3", -1])
def test_an_order_count_that_nobody_knows_is_refused(wrong: Any) -> None:
    assessment = decide(state=replace(STATE, recent_orders=wrong))
    assert refused_by(assessment, "numbers")
    assert not verdict(assessment, "order rate").passes


def test_an_order_count_of_numpy_counts() -> None:
    assert decide(state=replace(STATE, recent_orders=np.int64(19))).approved
    assert refused_by(decide(state=replace(STATE, recent_orders=np.int64(20))), "order rate")


@pytest.mark.parametrize("proposal", [LONG, SHORT, CLOSE, BUY_BACK])
def test_without_a_side_nothing_is_ordered(proposal: Proposal) -> None:
    assessment = decide(replace(proposal, side=None))  # type: ignore[arg-type]
    assert refused_by(assessment, "numbers")
    assert "side is None" in assessment.rejection_reason


@pytest.mark.parametrize(
    ("part", "value"),
    [("proposal", LONG), ("proposal", CLOSE), ("state", STATE), ("ages", FRESH), ("market", CALM)],
)
def test_no_missing_field_raises(part: str, value: Any) -> None:
    optional = {"policy_days", "sentiment_hours", "prices", "volatility", "btc_correlation", "oldest_price"}
    for field in fields(value):
        assessment = decide(**{part: replace(value, **{field.name: None})})
        assessment.facts()
        if assessment.approved:
            needless = {"reduce_quantity", "live_record", "reduces"} | (
                {"stop", "take_profit", "leverage"} if value is CLOSE else set()
            )
            assert field.name in optional | needless, field.name


def test_a_position_on_no_side_or_with_no_known_correlation_counts_as_correlated() -> None:
    for unknown in (other(None), other("0.1"), other(0.9, None), other(-0.9, None)):  # type: ignore[arg-type]
        assert refused_by(decide(state=replace(STATE, others=(unknown, unknown))), "correlated positions")
