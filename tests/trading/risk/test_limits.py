"""No order goes beyond a limit, whatever is proposed, whatever the account is and whatever came before.

The limits are computed again here, in fractions, from the values that went in; nothing of the code under test helps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

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
    other,
)
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Side
from trading.risk import (
    ENTRY_ONLY,
    AccountState,
    Ages,
    Halt,
    HaltKind,
    MarketState,
    OtherPosition,
    Proposal,
    RiskAssessment,
)

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
SHARE = {name: Fraction(repr(getattr(LIMITS, name))) for name in LIMITS.__dataclass_fields__}


def fraction(value: Any) -> Fraction:
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)


def within_every_limit(
    proposal: Proposal, state: AccountState, market: MarketState, ages: Ages, instrument: Instrument,
    result: RiskAssessment,
) -> None:  # fmt: skip
    size, entry = Fraction(result.adjusted_size), fraction(proposal.entry)
    assert size > 0
    assert proposal.pair_key == instrument.pair.key
    assert (size / Fraction(instrument.quantity_increment)).denominator == 1
    assert size >= Fraction(instrument.minimum_quantity)
    assert size * entry >= Fraction(instrument.minimum_cost)
    assert 0 <= ages.candle <= LIMITS.candle_age
    if proposal.reduces:
        closes_no_more_than_there_is(proposal, state, instrument, size, entry)
        return
    assert instrument.status is PairStatus.ONLINE
    inputs_are_fresh(ages)
    the_account_may_trade(state)
    protected(proposal, instrument, result, entry)
    affordable(proposal, state, instrument, size, entry)
    small_enough(proposal, state, market, instrument, result, size, entry)


def closes_no_more_than_there_is(
    proposal: Proposal, state: AccountState, instrument: Instrument, size: Fraction, entry: Fraction
) -> None:
    assert proposal.reduce_quantity is not None
    assert size <= Fraction(proposal.reduce_quantity)
    if proposal.side is Side.BUY:
        assert size * entry * (1 + Fraction(instrument.taker_fee)) <= fraction(state.available_quote)
    else:
        assert size <= fraction(state.available_base)


def inputs_are_fresh(ages: Ages) -> None:
    for age, limit in (
        (ages.features, LIMITS.feature_age),
        (ages.balance, LIMITS.balance_age),
        (ages.trade, LIMITS.trade_age),
        (ages.prices, LIMITS.price_age),
        (ages.policy_days, LIMITS.policy_age_days),
        (ages.sentiment_hours, LIMITS.sentiment_age_hours),
        (ages.clock_skew_seconds, LIMITS.clock_skew_seconds),
        (ages.reconciliation_seconds, LIMITS.reconciliation_age_seconds),
    ):
        assert age is None or 0 <= age <= limit


def the_account_may_trade(state: AccountState) -> None:
    assert state.halts == ()
    assert 0 <= state.recent_orders < LIMITS.orders_per_minute
    equity = fraction(state.equity)
    assert equity > 0
    assert equity > (1 - SHARE["drawdown"]) * fraction(state.equity_peak)
    assert equity > (1 - SHARE["daily_loss"]) * fraction(state.day_opening_equity)


def protected(proposal: Proposal, instrument: Instrument, result: RiskAssessment, entry: Fraction) -> None:
    assert result.stop_loss_price is not None
    assert result.take_profit_price is not None
    assert result.trailing_after_price is not None
    assert result.trailing_distance is not None
    side, stop = proposal.side.sign, Fraction(result.stop_loss_price)
    target = Fraction(result.take_profit_price)
    risked = side * (entry - stop)
    for price in (stop, target):
        assert price > 0
        assert (price / Fraction(instrument.price_increment)).denominator == 1
    assert 0 < risked <= entry * SHARE["stop_distance"]
    assert risked <= side * (entry - fraction(proposal.stop))
    assert side * (target - entry) >= risked * SHARE["reward_risk"]
    assert Fraction(result.trailing_distance) == risked
    assert Fraction(result.trailing_after_price) == entry + side * SHARE["trailing_after"] * risked > 0


def affordable(
    proposal: Proposal, state: AccountState, instrument: Instrument, size: Fraction, entry: Fraction
) -> None:
    """What is left after the order, fee included, is the reserve or more."""
    rate = fraction(state.quote_rate)
    reserve = SHARE["reserve"] * fraction(state.equity)
    if proposal.side is Side.BUY:
        spent = size * entry * (1 + Fraction(instrument.taker_fee))
        assert (fraction(state.available_quote) - spent) * rate >= reserve
    else:
        assert (fraction(state.available_base) - size) * entry * rate >= reserve


def small_enough(
    proposal: Proposal, state: AccountState, market: MarketState, instrument: Instrument,
    result: RiskAssessment, size: Fraction, entry: Fraction,
) -> None:  # fmt: skip
    equity, rate, side = fraction(state.equity), fraction(state.quote_rate), proposal.side.sign
    value = size * entry * rate
    part = Fraction(1)
    if market.btc_correlation is None or abs(market.btc_correlation) > LIMITS.correlated_above:
        part = SHARE["correlated_size"]
    assert size * side * (entry - fraction(proposal.stop)) * rate <= part * SHARE["risk_per_trade"] * equity
    for held, limit in (
        (state.position_value, "position_cap"),
        (state.base_exposure, "asset_cap"),
        (state.quote_exposure, "asset_cap"),
        (state.exposure_value, "total_exposure"),
    ):
        assert value <= part * (SHARE[limit] * equity - fraction(held))
    together = [each for each in state.others if not (_signed(each, side) <= LIMITS.correlated_above)]
    assert 1 + len(together) <= LIMITS.correlated_positions


def _signed(held: OtherPosition, side: int) -> float:
    return math.nan if held.correlation is None else side * held.side.sign * held.correlation


def anything() -> st.SearchStrategy[Any]:
    usual = st.floats(1e-8, 1e6) | st.decimals(0, 10**6, places=8)
    absurd = [0.0, -1.0, 1e-320, 1e300, -1e300, math.nan, math.inf, -math.inf]
    decimals = [Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"), Decimal("1e400"), Decimal("-0")]
    return usual | st.floats() | st.decimals() | st.sampled_from([*absurd, *decimals])


def mostly(sound: object) -> st.SearchStrategy[Any]:
    """Now and then anything at all, so that whole proposals get through and each fault is met alone."""
    return st.integers(0, 39).flatmap(lambda luck: anything() if luck == 7 else st.just(sound))


def floats_mostly(sound: float | None) -> st.SearchStrategy[Any]:
    return st.integers(0, 39).flatmap(lambda luck: st.floats() if luck == 7 else st.just(sound))


def proposals() -> st.SearchStrategy[Proposal]:
    def near(proposal: Proposal) -> st.SearchStrategy[Proposal]:
        return st.builds(
            Proposal, pair_key=st.sampled_from([proposal.pair_key] * 30 + ["BTC-USDT"]),
            side=st.just(proposal.side), entry=mostly(proposal.entry),
            stop=mostly(proposal.stop) | st.floats(97, 103) | st.none(),
            take_profit=mostly(proposal.take_profit) | st.floats(94, 106) | st.none(),
            reduces=st.just(proposal.reduces),
            reduce_quantity=mostly(proposal.reduce_quantity) | st.decimals(),
        )  # fmt: skip

    return st.sampled_from([LONG, SHORT, CLOSE, BUY_BACK]).flatmap(near)


def accounts(amount: Callable[[object], st.SearchStrategy[Any]]) -> st.SearchStrategy[AccountState]:
    halt = Halt(HaltKind.DAILY_LOSS, NOON, NOON, "lost")
    amounts = {
        each.name: amount(getattr(STATE, each.name))
        for each in fields(STATE)
        if each.name not in ("others", "halts", "recent_orders")
    }
    return st.builds(
        AccountState,
        **amounts,
        recent_orders=st.sampled_from([0, 19] * 5 + [20, -1]),
        others=st.lists(
            st.builds(other, st.floats(-1, 1) | st.floats() | st.none(), st.sampled_from(Side)), max_size=4
        ).map(tuple),
        halts=st.sampled_from([()] * 9 + [(halt,)]),
    )


def ages() -> st.SearchStrategy[Ages]:
    drawn = {each.name: floats_mostly(getattr(FRESH, each.name)) for each in fields(FRESH)}
    return st.just(FRESH) | st.builds(Ages, **drawn)


def markets() -> st.SearchStrategy[MarketState]:
    return st.builds(
        MarketState,
        btc_correlation=floats_mostly(CALM.btc_correlation) | st.floats(-1, 1) | st.none(),
    )


@settings(deadline=None, max_examples=400)
@given(
    proposals(), accounts(mostly) | accounts(mostly) | accounts(lambda _: anything()), markets(), ages(),
    st.sampled_from([PairStatus.ONLINE] * 60 + list(PairStatus)),
)  # fmt: skip
def test_no_proposal_and_no_account_however_absurd_raises_or_passes_a_limit(
    proposal: Proposal, state: AccountState, market: MarketState, age: Ages, status: PairStatus
) -> None:
    instrument = replace(INSTRUMENT, status=status)
    result = decide(proposal, state, age, instrument, market=market)
    if result.approved:
        within_every_limit(proposal, state, market, age, instrument, result)
    else:
        assert result.rejection_reason
        assert result.adjusted_size == 0
    assert result.approved is all(each.passes for each in result.verdicts)
    assert all(each.note for each in result.verdicts)
    assert not any(math.isnan(each.value) and each.passes for each in result.verdicts)


@settings(deadline=None, max_examples=200)
@given(
    side=st.sampled_from(Side), entry=st.floats(1e-8, 1e5), stop=st.floats(0.0005, 0.021),
    reward=st.floats(1.4, 3), correlation=st.floats(-1, 1), equity=st.floats(1e3, 1e6),
    held=st.just(0.0) | st.floats(0.01, 0.21), rate=st.floats(1e-2, 1e2), base=st.floats(0.04, 1),
    quote=st.floats(0.04, 1), ticks=st.sampled_from(["0.00000001", "0.0001", "0.03"]),
)  # fmt: skip
def test_every_approved_size_keeps_every_limit_to_the_last_digit(
    side: Side, entry: float, stop: float, reward: float, correlation: float, equity: float,
    held: float, rate: float, base: float, quote: float, ticks: str,
) -> None:  # fmt: skip
    instrument = replace(
        INSTRUMENT, price_increment=Decimal("1e-13"), quantity_increment=Decimal(ticks),
        minimum_quantity=Decimal(0), minimum_cost=Decimal(0),
    )  # fmt: skip
    distance = side.sign * entry * stop
    proposal = replace(
        LONG, side=side, entry=entry, stop=entry - distance, take_profit=entry + reward * distance
    )
    state = replace(
        STATE, equity=equity, equity_peak=equity, day_opening_equity=equity, position_value=held * equity,
        base_exposure=held * equity, exposure_value=held * equity,
        available_base=base * equity / (entry * rate), available_quote=quote * equity / rate, quote_rate=rate,
    )  # fmt: skip
    market = MarketState(correlation)
    result = decide(proposal, state, instrument=instrument, market=market)
    if result.approved:
        within_every_limit(proposal, state, market, FRESH, instrument, result)


def test_the_limits_in_fractions_agree_on_ordinary_proposals() -> None:
    for proposal in (LONG, SHORT, CLOSE, BUY_BACK):
        result = decide(proposal)
        assert result.approved
        within_every_limit(proposal, STATE, CALM, FRESH, INSTRUMENT, result)


@settings(deadline=None, max_examples=150)
@given(accounts(lambda _: anything()), markets(), ages())
def test_nothing_that_guards_entries_keeps_a_position_from_being_closed(
    state: AccountState, market: MarketState, age: Ages
) -> None:
    able = replace(state, available_base=Decimal(30))
    result = decide(CLOSE, able, replace(age, candle=0.5), market=market)
    assert result.approved
    assert result.adjusted_size == 3
    assert all(each.passes for each in result.verdicts if each.rule in ENTRY_ONLY)


@dataclass
class FractionAccount:
    """An account of fractions on which approved orders are filled, in full and at once, at the proposed price."""

    balances: dict[str, Fraction]
    prices: dict[str, Fraction]  # in the equity currency
    exposures: list[tuple[Pair, Side, Fraction]] = field(default_factory=list)  # value when it was opened

    @property
    def equity(self) -> Fraction:
        return sum((amount * self.prices[asset] for asset, amount in self.balances.items()), Fraction(0))

    def exposure(self, asset: str) -> Fraction:
        return sum(
            (value for pair, _, value in self.exposures if asset in (pair.base, pair.quote)), Fraction(0)
        )

    def state(self, pair: Pair) -> AccountState:
        """The state that risk is given; digits that a venue does not have are rounded against the account."""
        values = [value for _, _, value in self.exposures]
        equity = _down(self.equity)
        return AccountState(
            equity=equity, equity_peak=equity, day_opening_equity=equity,
            position_value=_up(sum((v for p, _, v in self.exposures if p == pair), Fraction(0))),
            base_exposure=_up(self.exposure(pair.base)),
            quote_exposure=Decimal(0) if pair.quote == "USDT" else _up(self.exposure(pair.quote)),
            exposure_value=_up(sum(values, Fraction(0))), available_base=_down(self.balances[pair.base]),
            available_quote=_down(self.balances[pair.quote]), quote_rate=_down(self.prices[pair.quote]),
            recent_orders=0,
            others=tuple(OtherPosition(p.key, side, 0.5) for p, side, _ in self.exposures if p != pair),
            halts=(),
        )  # fmt: skip

    def fill(self, pair: Pair, side: Side, size: Fraction, price: Fraction, fee: Fraction) -> None:
        self.balances[pair.base] += side.sign * size
        self.balances[pair.quote] -= side.sign * size * price + size * price * fee
        self.exposures.append((pair, side, size * price * self.prices[pair.quote]))


def _down(value: Fraction) -> Decimal:
    return Decimal(value.numerator * 10**20 // value.denominator).scaleb(-20)


def _up(value: Fraction) -> Decimal:
    return -_down(-value)


PAIRS = {
    Pair("BTC", "USDT"): (Fraction(100), "0.1"),
    Pair("XRP", "USDT"): (Fraction(1, 2), "0.0001"),
    Pair("XRP", "BTC"): (Fraction(1, 200), "0.000001"),
}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(PAIRS)), st.sampled_from(Side), st.floats(0.001, 0.02) | st.floats(),
            st.floats(1.5, 4) | st.floats(),
        ),
        min_size=2,
        max_size=25,
    )
)  # fmt: skip
def test_no_sequence_of_proposals_one_after_the_other_takes_the_account_beyond_a_limit(
    wanted: list[tuple[Pair, Side, float, float]],
) -> None:
    account = FractionAccount(
        {"USDT": Fraction(1000), "BTC": Fraction(8), "XRP": Fraction(500)},
        {"USDT": Fraction(1), "BTC": Fraction(100), "XRP": Fraction(1, 2)},
    )
    for pair, side, stop, reward in wanted:
        price, step = PAIRS[pair]
        instrument = replace(
            INSTRUMENT, pair=pair, price_increment=Decimal(step), quantity_increment=Decimal("1e-8"),
            minimum_quantity=Decimal("1e-8"), minimum_cost=Decimal(0),
        )  # fmt: skip
        entry = float(price)
        proposal = Proposal(
            pair.key, side, entry, entry * (1 - side.sign * stop), entry * (1 + side.sign * stop * reward),
            False, None,
        )  # fmt: skip
        before = account.equity
        result = decide(proposal, account.state(pair), instrument=instrument)
        if not result.approved:
            continue
        fee = Fraction(instrument.taker_fee)
        account.fill(pair, side, Fraction(result.adjusted_size), price, fee)
        spent = pair.quote if side is Side.BUY else pair.base
        left = account.balances[spent] * account.prices[spent]
        assert left >= SHARE["reserve"] * before - Fraction(1, 10**15)
        assert all(amount >= 0 for amount in account.balances.values())
        assert sum(value for _, _, value in account.exposures) <= SHARE["total_exposure"] * before
        position = sum(value for each, _, value in account.exposures if each == pair)
        assert position <= SHARE["position_cap"] * before
        assert account.exposure(pair.base) <= SHARE["asset_cap"] * before
        assert pair.quote == "USDT" or account.exposure(pair.quote) <= SHARE["asset_cap"] * before
