from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.errors import InvalidValue, NotStored
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Fill, Side
from trading.portfolio import cash_flows, equity
from trading.portfolio.exact import exactly
from trading.rebalancing import (
    MarketConditions,
    NoRebalance,
    PlannedTrade,
    Priority,
    RebalanceRecommendation,
    RebalancingRules,
    RegimeShift,
    Situation,
    TriggerKind,
    allocations,
    best_conversion,
    distance_from_target,
    recommend,
)
from trading.regime import Regime, RegimeKind

BTC, XRP, CROSS = (Pair.parse(text) for text in ("BTC/USDT", "XRP/USDT", "XRP/BTC"))
PRICES = {BTC: Decimal(10_000), XRP: Decimal("0.5"), CROSS: Decimal("0.00005")}
INSTRUMENT = Instrument(
    pair=BTC, price_increment=Decimal("0.1"), quantity_increment=Decimal("0.00000001"),
    minimum_quantity=Decimal("0.00005"), minimum_cost=Decimal("0.00002"), taker_fee=Decimal("0.0026"),
    maker_fee=Decimal("0.0016"),
)  # fmt: skip
INSTRUMENTS = {pair: replace(INSTRUMENT, pair=pair) for pair in PRICES}
MARKET = MarketConditions(PRICES, INSTRUMENTS, price_buffer=Decimal("0.0003"))
RULES = RebalancingRules(
    targets={"USDT": Decimal("0.4"), "BTC": Decimal("0.4"), "XRP": Decimal("0.2")}, drift=Decimal("0.1"),
    concentration=Decimal("0.6"), gain=Decimal("0.2"), regime_weight=Decimal("0.5"),
    opportunity=Decimal("0.001"), opportunity_share=Decimal("0.1"), disagreement=Decimal("0.05"),
    minimum_value=Decimal(10), execute=False,
)  # fmt: skip


def situation(
    usdt: str = "400", btc: str = "0.04", xrp: str = "400", market: MarketConditions = MARKET,
    **changed: object,
) -> Situation:  # fmt: skip
    """At its target of 40, 40 and 20 % of 1,000 USDT unless changed."""
    balances = {"USDT": Decimal(usdt), "BTC": Decimal(btc), "XRP": Decimal(xrp)}
    usual = Situation(
        balances, reserved={}, quote="USDT", market=market, reference_prices=market.prices, shifts=()
    )
    return replace(usual, **changed)  # type: ignore[arg-type]


def priced(**changed: str) -> MarketConditions:
    names = {"btc": BTC, "xrp": XRP, "cross": CROSS}
    return replace(MARKET, prices=PRICES | {names[name]: Decimal(price) for name, price in changed.items()})


def recommended(at: Situation, rules: RebalancingRules = RULES) -> RebalanceRecommendation:
    answer = recommend(at, rules)
    assert isinstance(answer, RebalanceRecommendation), answer
    return answer


def refused(at: Situation, rules: RebalancingRules = RULES) -> NoRebalance:
    answer = recommend(at, rules)
    assert isinstance(answer, NoRebalance), answer
    return answer


def kinds(answer: RebalanceRecommendation | NoRebalance) -> list[TriggerKind]:
    return [trigger.kind for trigger in answer.triggers]


def shift(weight: float = 0.7, now: RegimeKind | None = RegimeKind.VOLATILE) -> RegimeShift:
    weights = dict.fromkeys(RegimeKind, (1 - weight) / 4) | {RegimeKind.VOLATILE: weight}
    return RegimeShift(BTC, RegimeKind.QUIET, Regime(now, 0.0, weights if now else {}, ()))


def filled(trade: PlannedTrade, market: MarketConditions) -> dict[str, Decimal]:
    """The balances' changes when the venue fills the trade as expected, booked as fills are booked."""
    with exactly():
        price = market.prices[trade.pair] * (1 + trade.side.sign * market.price_buffer)
        fee = price * trade.quantity * market.instruments[trade.pair].taker_fee
    at = datetime(2024, 1, 1, tzinfo=UTC)
    return cash_flows(
        Fill("f", "i", "a", trade.pair, trade.side, price, trade.quantity, fee, trade.pair.quote, at)
    )


def carried_out(at: Situation, trades: tuple[PlannedTrade, ...]) -> dict[str, Decimal]:
    balances = dict(at.balances)
    for trade in trades:
        for asset, change in filled(trade, at.market).items():
            with exactly():
                balances[asset] += change
            assert balances[asset] >= at.reserved.get(asset, Decimal(0))
    return balances


def test_a_portfolio_at_its_target_is_left_alone_and_says_where_it_stands() -> None:
    answer = refused(situation())
    assert answer.triggers == ()
    assert answer.reason.startswith("nothing calls for it: USDT is 40.0 % against a target of 40.0 %")


@pytest.mark.parametrize(("usdt", "fires"), [("500", False), ("500.01", True)])
def test_a_share_drifts_beyond_its_limit_and_not_at_it(usdt: str, fires: bool) -> None:
    """500 of 1,000 is exactly ten hundredths above 0.4; BTC gives what USDT gains."""
    btc = str((Decimal(800) - Decimal(usdt)) / 10_000)
    answer = recommend(situation(usdt=usdt, btc=btc), RULES)
    assert (TriggerKind.DRIFT in kinds(answer)) is fires


def test_the_trade_goes_from_the_largest_surplus_to_the_largest_shortfall() -> None:
    answer = recommended(situation(usdt="100", btc="0.06", xrp="600"))
    assert (answer.source_asset, answer.target_asset) == ("BTC", "USDT")
    (trade,) = answer.trades
    assert (trade.pair, trade.side) == (BTC, Side.SELL)
    assert answer.amount == trade.quantity == Decimal("0.02")
    assert answer.expected == Decimal("200") * Decimal("0.9997") * Decimal("0.9974")


def test_the_trade_takes_neither_asset_past_its_target() -> None:
    """USDT is 300 above, BTC 200 and XRP 100 below: 200 move to BTC."""
    answer = recommended(situation(usdt="700", btc="0.02", xrp="200"))
    assert answer.target_asset == "BTC"
    assert 199.99 < answer.amount <= 200
    answer = recommended(situation(usdt="200", btc="0.02", xrp="1200"))
    assert (answer.source_asset, answer.amount) == ("XRP", Decimal(400))


def test_a_purchase_spends_its_fee_and_concession_too() -> None:
    answer = recommended(situation(usdt="600", btc="0.02"))
    (trade,) = answer.trades
    assert (trade.pair, trade.side) == (BTC, Side.BUY)
    unit = Decimal(10_000) * Decimal("1.0003") * Decimal("1.0026")
    assert answer.amount == trade.quantity * unit <= 200
    assert (trade.quantity + INSTRUMENT.quantity_increment) * unit > 200
    assert answer.expected == trade.quantity


def test_the_reasoning_names_trigger_places_and_orders() -> None:
    answer = recommended(situation(usdt="600", btc="0.02"))
    assert answer.reasoning.startswith(
        "USDT is 20.0 % above its target (limit 10.0 %); BTC is 20.0 % below its target (limit 10.0 %). "
        "USDT is 60.0 % against a target of 40.0 %, BTC is 20.0 % against a target of 40.0 %: buy 0.0199"
    )


def test_more_than_the_concentration_in_one_asset_is_urgent() -> None:
    answer = recommended(situation(usdt="610", btc="0.019"), replace(RULES, drift=Decimal("0.5")))
    assert kinds(answer) == [TriggerKind.CONCENTRATION]
    assert answer.priority is Priority.HIGH
    assert answer.source_asset == "USDT"


@pytest.mark.parametrize(
    ("usdt", "priority"), [("520", Priority.MEDIUM), ("599.9", Priority.MEDIUM), ("600", Priority.HIGH)]
)
def test_a_drift_of_twice_its_limit_is_urgent(usdt: str, priority: Priority) -> None:
    btc = str((Decimal(800) - Decimal(usdt)) / 10_000)
    assert recommended(situation(usdt=usdt, btc=btc)).priority is priority


def test_a_gain_beyond_its_limit_takes_profit_from_what_is_above_its_target() -> None:
    before = {BTC: Decimal(10_000), XRP: Decimal("0.4")}
    answer = recommended(situation(usdt="380", xrp="440", reference_prices=before))
    assert kinds(answer) == [TriggerKind.GAIN]
    assert answer.triggers[0].value == pytest.approx(0.25)
    assert answer.priority is Priority.MEDIUM
    assert (answer.source_asset, answer.target_asset) == ("XRP", "USDT")


def test_a_gain_of_exactly_its_limit_calls_for_nothing() -> None:
    before = PRICES | {XRP: Decimal("0.5") / Decimal("1.25")}
    rules = replace(RULES, gain=Decimal("0.25"))
    assert kinds(refused(situation(usdt="380", xrp="440", reference_prices=before), rules)) == []


def test_without_earlier_prices_gains_are_unknown_and_that_is_said() -> None:
    assert "gains are unknown" in refused(situation(reference_prices={})).reason


def test_an_asset_without_an_earlier_price_is_named() -> None:
    with pytest.raises(NotStored, match="no price joins XRP and USDT"):
        recommend(situation(reference_prices={BTC: Decimal(1)}), RULES)


def test_a_regime_change_calls_for_a_trade_towards_the_target() -> None:
    answer = recommended(situation(usdt="430", btc="0.037", shifts=(shift(),)))
    assert kinds(answer) == [TriggerKind.REGIME_CHANGE]
    assert answer.priority is Priority.LOW
    assert "BTC/USDT turned from quiet to volatile" in answer.reasoning


@pytest.mark.parametrize("weak", [shift(weight=0.49), shift(now=None), shift(now=RegimeKind.QUIET)])
def test_a_regime_that_is_doubtful_unknown_or_the_same_calls_for_nothing(weak: RegimeShift) -> None:
    assert kinds(refused(situation(usdt="430", btc="0.037", shifts=(weak,)))) == []


def test_a_trade_below_the_minimum_value_is_not_worth_it_and_the_trigger_is_kept() -> None:
    answer = refused(situation(usdt="409", btc="0.0391", shifts=(shift(),)))
    assert "9.00 USDT from USDT to BTC is less than the minimum of 10" in answer.reason
    assert kinds(answer) == [TriggerKind.REGIME_CHANGE]


def test_what_positions_need_is_not_sold() -> None:
    held = situation(usdt="100", btc="0.07", xrp="400", reserved={"BTC": Decimal("0.06")})
    answer = recommended(held)
    assert (answer.source_asset, answer.amount) == ("BTC", Decimal("0.01"))


def test_when_everything_above_its_target_is_reserved_there_is_no_trade() -> None:
    held = situation(usdt="100", btc="0.07", xrp="400", reserved={"BTC": Decimal("0.07")})
    assert "0.00 USDT from BTC to USDT is less than the minimum" in refused(held).reason


def test_the_way_through_a_third_asset_is_taken_where_it_yields_more() -> None:
    """XRP/USDT is 3 % dear: BTC buys XRP at the cross, and XRP is sold where it is dear."""
    market = priced(xrp="0.515")
    direct = recommended(situation(usdt="200", btc="0.06", xrp="400"))
    detour = recommended(situation(usdt="200", btc="0.06", xrp="388.35", market=market))
    assert [trade.pair for trade in direct.trades] == [BTC]
    assert [(trade.pair, trade.side) for trade in detour.trades] == [(CROSS, Side.BUY), (XRP, Side.SELL)]
    assert detour.trades[1].spends <= detour.trades[0].receives
    assert detour.expected / detour.amount > Decimal(10_000)


def test_without_a_pair_between_them_a_third_asset_joins_two() -> None:
    market = MarketConditions({BTC: PRICES[BTC], XRP: PRICES[XRP]}, INSTRUMENTS, Decimal(0))
    answer = recommended(situation(btc="0.06", xrp="0", market=market))
    assert [(trade.pair, trade.side) for trade in answer.trades] == [(BTC, Side.SELL), (XRP, Side.BUY)]


def test_a_pair_that_is_not_open_is_gone_round_or_named() -> None:
    closed = {BTC: replace(INSTRUMENTS[BTC], status=PairStatus.CANCEL_ONLY)}
    market = replace(MARKET, instruments=INSTRUMENTS | closed)
    answer = recommended(situation(usdt="600", btc="0.02", market=market))
    assert [trade.pair for trade in answer.trades] == [XRP, CROSS]
    alone = MarketConditions({BTC: PRICES[BTC], XRP: PRICES[XRP]}, market.instruments, Decimal(0))
    assert "BTC/USDT is cancel_only" in refused(situation(usdt="600", btc="0.02", market=alone)).reason


def test_the_next_largest_move_is_taken_when_the_venue_refuses_the_largest() -> None:
    shut = {pair: replace(INSTRUMENTS[pair], minimum_quantity=Decimal(10_000)) for pair in (BTC, CROSS)}
    market = replace(MARKET, instruments=INSTRUMENTS | shut)
    answer = recommended(situation(usdt="700", btc="0.02", xrp="200", market=market))
    assert answer.target_asset == "XRP"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"minimum_quantity": Decimal(1)}, "is below the minimum of BTC/USDT, 1"),
        ({"minimum_cost": Decimal(1000)}, "USDT is below the minimum cost of BTC/USDT"),
        ({"quantity_increment": Decimal(1)}, "0 BTC is below the minimum of BTC/USDT"),
    ],
)
def test_an_order_that_the_venue_would_refuse_is_refused_with_its_reason(
    changed: dict[str, Decimal], reason: str
) -> None:
    market = MarketConditions({BTC: PRICES[BTC]}, {BTC: replace(INSTRUMENTS[BTC], **changed)}, Decimal(0))  # type: ignore[arg-type]
    answer = best_conversion("USDT", "BTC", Decimal(200), market)
    assert reason in getattr(answer, "reason", "")


def test_a_round_that_earns_its_costs_is_recommended_where_nothing_else_calls() -> None:
    market = priced(xrp="0.51")
    answer = recommended(situation(xrp="392", market=market))
    assert kinds(answer) == [TriggerKind.OPPORTUNITY]
    assert answer.priority is Priority.LOW
    assert answer.source_asset == answer.target_asset
    assert answer.expected > answer.amount * (1 + RULES.opportunity)
    assert answer.amount <= Decimal("0.1") * situation().balances[answer.source_asset]
    assert len(answer.trades) == 3
    assert "gains 1.1" in answer.reasoning


def test_a_deviation_that_the_costs_eat_is_no_opportunity() -> None:
    assert kinds(refused(situation(market=priced(xrp="0.504")))) == []


def test_an_opportunity_waits_while_the_allocation_calls_for_a_trade() -> None:
    answer = recommended(situation(usdt="600", btc="0.02", market=priced(xrp="0.51")))
    assert TriggerKind.OPPORTUNITY not in kinds(answer)


def test_prices_that_contradict_each_other_are_not_traded_on() -> None:
    answer = refused(situation(usdt="900", btc="0", market=priced(cross="0.00006")))
    assert (
        answer.reason == "the prices of BTC/USDT, XRP/BTC, XRP/USDT are 18.2 % apart: one is stale or wrong"
    )


def test_an_empty_portfolio_has_nothing_to_move() -> None:
    assert refused(situation("0", "0", "0")).reason == "the portfolio is empty"


def test_an_asset_that_is_not_wanted_is_sold() -> None:
    rules = replace(RULES, targets={"USDT": Decimal("0.6"), "BTC": Decimal("0.4"), "XRP": Decimal(0)})
    answer = recommended(situation(xrp="400"), rules)
    assert (answer.source_asset, answer.target_asset, answer.amount) == ("XRP", "USDT", Decimal(400))


def test_an_asset_without_a_price_is_named() -> None:
    market = MarketConditions({BTC: PRICES[BTC]}, INSTRUMENTS, Decimal(0))
    with pytest.raises(NotStored, match="no price joins XRP and USDT"):
        recommend(situation(market=market), RULES)


def test_a_held_asset_without_a_target_is_named() -> None:
    strange = situation(balances={"USDT": Decimal(1), "ETH": Decimal(1)})
    with pytest.raises(InvalidValue, match="ETH is held and has no target"):
        recommend(strange, RULES)


@pytest.mark.parametrize("amount", ["-0.01", "NaN", "Infinity", "-Infinity"])
def test_an_impossible_balance_or_reserve_is_named(amount: str) -> None:
    with pytest.raises(InvalidValue, match=f"balance of BTC is {amount}"):
        situation(btc=amount)
    with pytest.raises(InvalidValue, match=f"reserve of BTC is {amount}"):
        situation(reserved={"BTC": Decimal(amount)})


def test_a_reserve_beyond_the_balance_is_named() -> None:
    with pytest.raises(InvalidValue, match=r"reserve of BTC is 0\.05, but only 0\.04 are held"):
        situation(reserved={"BTC": Decimal("0.05")})


@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity"])
def test_an_impossible_price_is_named(price: str) -> None:
    with pytest.raises(InvalidValue, match=f"price of BTC/USDT is {price}"):
        priced(btc=price)


def test_a_price_without_an_instrument_is_named() -> None:
    with pytest.raises(NotStored, match="no instrument for XRP/BTC"):
        MarketConditions(PRICES, {pair: INSTRUMENTS[pair] for pair in (BTC, XRP)}, Decimal(0))


@pytest.mark.parametrize("price_buffer", ["-0.1", "1", "NaN"])
def test_an_impossible_price_buffer_is_named(price_buffer: str) -> None:
    with pytest.raises(InvalidValue, match=f"price_buffer is {price_buffer}"):
        replace(MARKET, price_buffer=Decimal(price_buffer))


@pytest.mark.parametrize(
    "name",
    ["drift", "concentration", "gain", "regime_weight", "opportunity", "opportunity_share", "disagreement"],
)
@pytest.mark.parametrize("value", ["0", "-0.1", "1000", "NaN", "Infinity"])
def test_impossible_rules_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidValue, match=f"{name} is {value}: allowed is above 0, up to"):
        replace(RULES, **{name: Decimal(value)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"USDT": "0.5", "BTC": "0.4"}, r"targets add up to 0\.9"),
        ({"USDT": "0.3", "BTC": "0.7"}, r"target of BTC is 0\.7: allowed is from 0 to concentration, 0\.6"),
        ({"USDT": "-0.1", "BTC": "0.6", "XRP": "0.5"}, r"target of USDT is -0\.1"),
        ({"USDT": "NaN", "BTC": "0.6"}, "target of USDT is NaN"),
    ],
)
def test_impossible_targets_are_refused(targets: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        replace(RULES, targets={asset: Decimal(share) for asset, share in targets.items()})


def amounts(highest: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(0, highest, places=places)


@st.composite
def portfolios(draw: st.DrawFn) -> tuple[Situation, RebalancingRules]:
    btc, xrp = draw(st.decimals(100, 100_000, places=1)), draw(st.decimals("0.01", 10, places=5))
    apart = draw(st.decimals("0.96", "1.04", places=4))
    prices = {BTC: btc, XRP: xrp, CROSS: (xrp / btc * apart).quantize(Decimal("1e-12"))}
    increments = st.sampled_from([Decimal("1e-8"), Decimal("0.001"), Decimal("0.3"), Decimal(5)])
    instruments = {
        pair: replace(INSTRUMENTS[pair], quantity_increment=draw(increments), minimum_quantity=Decimal(0))
        for pair in PRICES
    }
    market = MarketConditions(prices, instruments, draw(st.decimals(0, "0.01", places=4)))
    balances = {"USDT": draw(amounts(10_000, 2)), "BTC": draw(amounts(2, 8)), "XRP": draw(amounts(20_000, 8))}
    reserved = {
        asset: held * draw(st.sampled_from([Decimal(0), Decimal("0.5")])) for asset, held in balances.items()
    }
    cut = sorted(draw(st.lists(st.integers(0, 100), min_size=2, max_size=2)))
    shares = [Decimal(part) / 100 for part in (cut[0], cut[1] - cut[0], 100 - cut[1])]
    rules = replace(
        RULES, concentration=Decimal(1), targets=dict(zip(("USDT", "BTC", "XRP"), shares, strict=True)),
        drift=Decimal("0.02"), minimum_value=draw(st.sampled_from([Decimal(0), Decimal(10)])),
    )  # fmt: skip
    return Situation(balances, reserved, "USDT", market, {}, ()), rules


@settings(deadline=None, max_examples=300)
@given(portfolios())
def test_carried_out_a_recommendation_is_payable_and_brings_the_allocation_nearer_to_its_target(
    case: tuple[Situation, RebalancingRules],
) -> None:
    at, rules = case
    answer = recommend(at, rules)
    if isinstance(answer, NoRebalance):
        assert answer.reason
        return
    for trade in answer.trades:
        assert trade.quantity > 0
        assert trade.quantity % at.market.instruments[trade.pair].quantity_increment == 0
        assert filled(trade, at.market) == {
            trade.source: trade.spends.copy_negate(),  # a minus sign would round to 28 digits
            trade.target: trade.receives,
        }
    assert answer.amount == answer.trades[0].spends
    assert answer.amount <= at.balances[answer.source_asset] - at.reserved[answer.source_asset]
    after = carried_out(at, answer.trades)
    if kinds(answer) == [TriggerKind.OPPORTUNITY]:
        assert value(after, at) > value(at.balances, at)
        return
    before, now = (
        distance_from_target(allocations(replace(at, balances=balances), rules.targets))
        for balances in (at.balances, after)
    )
    assert now < before


def value(balances: Mapping[str, Decimal], at: Situation) -> Decimal:
    return equity(balances, "USDT", at.market.prices)


@settings(deadline=None, max_examples=40)
@given(portfolios())
def test_carried_out_again_and_again_recommendations_come_to_an_end(
    case: tuple[Situation, RebalancingRules],
) -> None:
    at, rules = case
    at, rules = replace(at, reserved={}), replace(rules, opportunity=Decimal(1))
    for _ in range(20):
        answer = recommend(at, rules)
        if isinstance(answer, NoRebalance):
            return
        at = replace(at, balances=carried_out(at, answer.trades))
    pytest.fail(f"still not done: {answer.reasoning}")
