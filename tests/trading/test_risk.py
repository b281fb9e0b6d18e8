import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.errors import InvalidValue
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Side
from trading.risk import RULES, AccountState, Ages, Limits, Proposal, RiskAssessment, Verdict, assess
from trading.sizing import number

LIMITS = Limits(
    risk_per_trade=0.01,
    position_cap=0.2,
    stop_distance=0.02,
    reward_risk=1.5,
    drawdown=0.1,
    daily_loss=0.03,
    total_exposure=0.6,
    reserve=0.05,
    candle_age=2.0,
    sentiment_age_hours=72.0,
    policy_age_days=62.0,
)
INSTRUMENT = Instrument(
    pair=Pair("BTC", "USDT"),
    price_increment=Decimal("0.1"),
    quantity_increment=Decimal("0.001"),
    minimum_quantity=Decimal("0.002"),
    minimum_cost=Decimal("5"),
    taker_fee=Decimal("0.0026"),
    maker_fee=Decimal("0.0016"),
)
STATE = AccountState(
    equity=10_000.0,
    equity_peak=10_000.0,
    day_opening_equity=10_000.0,
    position_value=0.0,
    exposure_value=0.0,
    available_base=Decimal("30"),
    available_quote=Decimal("5000"),
    quote_rate=1.0,
)
LONG = Proposal("BTC-USDT", Side.BUY, 100.0, 98.0, 104.0, reduces=False, reduce_quantity=None)
SHORT = replace(LONG, side=Side.SELL, stop=102.0, take_profit=96.0)
CLOSE = Proposal("BTC-USDT", Side.SELL, 100.0, None, None, reduces=True, reduce_quantity=Decimal("3"))
FRESH = Ages(candle=0.1, policy_days=10.0, sentiment_hours=1.0)


def decide(
    proposal: Proposal = LONG,
    state: AccountState = STATE,
    ages: Ages = FRESH,
    instrument: Instrument = INSTRUMENT,
    limits: Limits = LIMITS,
) -> RiskAssessment:
    return assess(proposal, state, ages, instrument, limits)


def verdict(assessment: RiskAssessment, rule: str) -> Verdict:
    return next(each for each in assessment.verdicts if each.rule == rule)


def refused_by(assessment: RiskAssessment, rule: str) -> bool:
    """Rejected for this rule first, with nothing left that could be ordered."""
    assert not assessment.approved
    assert not verdict(assessment, rule).passes
    assert assessment.adjusted_size == 0
    assert assessment.stop_loss_price is None
    assert assessment.take_profit_price is None
    return assessment.rejection_reason.startswith(f"{rule}: ")


def test_a_sound_proposal_is_approved_with_size_stop_and_take_profit() -> None:
    assessment = decide()
    assert assessment.approved
    assert assessment.rejection_reason == ""
    assert assessment.adjusted_leverage == 1.0
    assert assessment.stop_loss_price == Decimal("98.0")
    assert assessment.take_profit_price == Decimal("104.0")


def test_every_assessment_shows_every_rule_in_the_documented_order() -> None:
    for proposal in (LONG, SHORT, CLOSE, replace(LONG, entry=math.nan)):
        assert [each.rule for each in decide(proposal).verdicts] == list(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_the_module_documents_the_order_of_the_rules(rule: str) -> None:
    import trading.risk

    text = " ".join((trading.risk.__doc__ or "").split("Order: ")[1].split("The rejection")[0].split())
    assert [name.strip(" .") for name in text.split(",")][list(RULES).index(rule)] == rule


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
    assert assessment.adjusted_size == Decimal("9.475")  # 950 / 100.26, rounded down
    assert verdict(assessment, "balance").value <= 950


def test_a_sale_is_backed_by_inventory_less_the_reserve() -> None:
    assert decide(SHORT, replace(STATE, available_base=Decimal("10"))).adjusted_size == Decimal("9.500")


def test_a_sale_without_inventory_is_refused() -> None:
    assessment = decide(SHORT, replace(STATE, available_base=0.0))
    assert refused_by(assessment, "minimum quantity")
    assert "balance" in assessment.rejection_reason


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


@pytest.mark.parametrize("old", [62.1, -1.0, math.nan])
def test_a_policy_that_is_too_old_is_refused(old: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, policy_days=old)), "policy age")


@pytest.mark.parametrize("old", [72.1, -1.0, math.nan])
def test_sentiment_that_is_too_old_is_refused(old: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, sentiment_hours=old)), "sentiment age")


def test_an_input_that_was_not_used_has_no_age() -> None:
    assessment = decide(ages=Ages(0.0, None, None))
    assert assessment.approved
    assert verdict(assessment, "policy age").note == verdict(assessment, "sentiment age").note == "not used"


@pytest.mark.parametrize("status", [status for status in PairStatus if status is not PairStatus.ONLINE])
def test_a_pair_that_is_not_online_takes_no_entries(status: PairStatus) -> None:
    assert refused_by(decide(instrument=replace(INSTRUMENT, status=status)), "status")


def test_a_proposal_for_another_pair_is_refused() -> None:
    assert refused_by(decide(replace(LONG, pair_key="XRP-USDT")), "pair")


IMPOSSIBLE = [math.nan, math.inf, -math.inf, -1.0, 1e300, Decimal("sNaN"), Decimal("1e400"), 1e-300]


@pytest.mark.parametrize("wrong", IMPOSSIBLE)
@pytest.mark.parametrize("name", AccountState.__dataclass_fields__)
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
@pytest.mark.parametrize("name", ["minimum_quantity", "minimum_cost", "taker_fee"])
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
    assert decide(CLOSE, lost, Ages(0.0, 999.0, 999.0)).approved


def test_buying_back_does_not_need_to_know_the_base_balance() -> None:
    assert decide(replace(CLOSE, side=Side.BUY), replace(STATE, available_base=math.nan)).approved


def test_closing_is_bound_by_the_whole_free_balance() -> None:
    held = replace(STATE, available_base=Decimal("2.9876"))
    assert decide(CLOSE, held).adjusted_size == Decimal("2.987")


def test_buying_back_pays_the_fee_from_the_whole_quote_balance() -> None:
    state = replace(STATE, available_quote=Decimal("100.26"))
    assert decide(replace(CLOSE, side=Side.BUY), state).adjusted_size == Decimal("1.000")


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


def anything() -> st.SearchStrategy[float | Decimal]:
    usual = st.floats(1e-8, 1e6) | st.decimals(0, 10**6, places=8)
    return usual | st.floats() | st.decimals() | st.sampled_from([0.0, -1.0, 1e-320, 1e308])


def mostly(sound: object) -> st.SearchStrategy[Any]:
    """One time in ten anything at all, so that whole proposals get through and each fault is met alone."""
    return st.integers(0, 9).flatmap(lambda luck: anything() if luck == 0 else st.just(sound))


def proposals() -> st.SearchStrategy[Proposal]:
    def near(proposal: Proposal) -> st.SearchStrategy[Proposal]:
        return st.builds(
            Proposal,
            st.just(proposal.pair_key),
            st.just(proposal.side),
            mostly(proposal.entry),
            mostly(proposal.stop) | st.floats(97, 103) | st.none(),
            mostly(proposal.take_profit) | st.floats(94, 106) | st.none(),
            st.just(proposal.reduces),
            mostly(proposal.reduce_quantity) | st.decimals(),
        )

    return st.sampled_from([LONG, SHORT, CLOSE, replace(CLOSE, side=Side.BUY)]).flatmap(near)


def accounts() -> st.SearchStrategy[AccountState]:
    return st.builds(
        AccountState, *(mostly(getattr(STATE, name)) for name in AccountState.__dataclass_fields__)
    )


def ages() -> st.SearchStrategy[Ages]:
    return st.just(FRESH) | st.builds(Ages, st.floats(), st.none() | st.floats(), st.none() | st.floats())


def fraction(value: float | Decimal) -> Fraction:
    return Fraction(number(value))


def within_every_limit(
    proposal: Proposal, state: AccountState, instrument: Instrument, result: RiskAssessment
) -> None:
    """The arithmetic of the limits, done again in exact fractions."""
    size, entry = Fraction(result.adjusted_size), fraction(proposal.entry)
    assert size > 0
    assert (size / Fraction(instrument.quantity_increment)).denominator == 1
    assert size >= Fraction(instrument.minimum_quantity)
    assert size * entry >= Fraction(instrument.minimum_cost)
    buys, kept = proposal.side is Side.BUY, 0 if proposal.reduces else Fraction("0.05")
    if buys:
        spent = size * entry * (1 + Fraction(instrument.taker_fee))
        assert spent <= fraction(state.available_quote) * (1 - kept)
    else:
        assert size <= fraction(state.available_base) * (1 - kept)
    if proposal.reduces:
        assert proposal.reduce_quantity is not None
        assert size <= Fraction(proposal.reduce_quantity)
        return
    assert result.stop_loss_price is not None
    assert result.take_profit_price is not None
    equity, rate, side = fraction(state.equity), fraction(state.quote_rate), proposal.side.sign
    stop, target = Fraction(result.stop_loss_price), Fraction(result.take_profit_price)
    assert (stop / Fraction(instrument.price_increment)).denominator == 1
    assert 0 < side * (entry - stop) <= entry * Fraction("0.02")
    assert side * (target - entry) >= side * (entry - stop) * Fraction("1.5")
    assert size * abs(entry - stop) * rate <= equity * Fraction("0.01")
    assert size * entry * rate + fraction(state.position_value) <= equity * Fraction("0.2")
    assert size * entry * rate + fraction(state.exposure_value) <= equity * Fraction("0.6")


@settings(deadline=None, max_examples=250)
@given(
    proposals(),
    accounts() | st.builds(AccountState, *[anything()] * 8),
    ages(),
    st.just(PairStatus.ONLINE) | st.sampled_from(PairStatus),
)
def test_no_proposal_and_no_account_however_absurd_raises_or_passes_a_limit(
    proposal: Proposal, state: AccountState, age: Ages, status: PairStatus
) -> None:
    result = decide(proposal, state, age, replace(INSTRUMENT, status=status))
    if result.approved:
        within_every_limit(proposal, state, INSTRUMENT, result)
    else:
        assert result.rejection_reason
        assert result.adjusted_size == 0
    assert result.approved is all(each.passes for each in result.verdicts)
    assert not any(math.isnan(each.value) and each.passes for each in result.verdicts)


@settings(deadline=None, max_examples=250)
@given(
    side=st.sampled_from(Side),
    entry=st.floats(1e-6, 1e5),
    stop=st.floats(0.0005, 0.021),
    reward=st.floats(1.4, 3),
    equity=st.floats(1e3, 1e6),
    held=st.floats(0, 0.21),
    rate=st.floats(1e-2, 1e2),
    base=st.decimals(0, 10**6, places=8),
    quote=st.decimals(0, 10**6, places=8),
    ticks=st.sampled_from(["0.00000001", "0.0001", "0.03"]),
)
def test_every_approved_size_keeps_every_limit_to_the_last_digit(
    side: Side,
    entry: float,
    stop: float,
    reward: float,
    equity: float,
    held: float,
    rate: float,
    base: Decimal,
    quote: Decimal,
    ticks: str,
) -> None:
    instrument = replace(
        INSTRUMENT,
        price_increment=Decimal("1e-10"),
        quantity_increment=Decimal(ticks),
        minimum_quantity=Decimal(0),
        minimum_cost=Decimal(0),
    )
    distance = side.sign * entry * stop
    proposal = Proposal("BTC-USDT", side, entry, entry - distance, entry + reward * distance, False, None)
    state = AccountState(equity, equity, equity, held * equity, held * equity, base, quote, rate)
    result = decide(proposal, state, instrument=instrument)
    if result.approved:
        within_every_limit(proposal, state, instrument, result)


def test_the_limits_in_fractions_agree_on_ordinary_proposals() -> None:
    for proposal in (LONG, SHORT, CLOSE):
        within_every_limit(proposal, STATE, INSTRUMENT, decide(proposal))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("risk_per_trade", 0.051),
        ("risk_per_trade", 0.0),
        ("position_cap", 0.51),
        ("stop_distance", 0.11),
        ("reward_risk", -1.0),
        ("drawdown", 0.6),
        ("daily_loss", math.nan),
        ("total_exposure", 1.1),
        ("reserve", 1.0),
        ("reserve", -0.1),
        ("candle_age", 0.0),
        ("sentiment_age_hours", math.inf),
        ("policy_age_days", -1.0),
    ],
)
def test_impossible_limits_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidValue, match=f"{name} is {value}: allowed is "):
        replace(LIMITS, **{name: value})
