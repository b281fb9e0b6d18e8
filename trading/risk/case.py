"""One proposal with every number that the rules look at, converted once, and the size that they leave it.

The size is the smallest of these bounds, times `correlated_size` where the pair moves with BTC, rounded down to
the quantity increment:

    risk per trade   risk_per_trade x equity / loss per unit at the proposed stop
    position cap     (position_cap x equity - value of this position) / value per unit
    asset cap        (asset_cap x equity - exposure to base or quote, the larger) / value per unit
    total exposure   (total_exposure x equity - value of all positions) / value per unit
    balance          (free balance - reserve x equity) / balance tied up per unit

A purchase ties up entry x (1 / leverage + taker fee) of the quote per unit, a sale 1 / leverage of the base.
A closing order is bound by the quantity to close and the whole free balance, without leverage.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from operator import itemgetter

from trading.market import Instrument
from trading.orders import Side
from trading.risk.exact import (
    NAN,
    ONE,
    ZERO,
    ExactLimits,
    exact_limits,
    number,
    on_grid,
    quotient,
    quotient_up,
)
from trading.risk.limits import Limits
from trading.risk.values import AccountState, Ages, MarketState, OtherPosition, Proposal

BTC = "BTC"
LEVERAGE_STEP = Decimal("0.01")

Bound = tuple[Decimal, str]  # base currency, and the rule that says so
_quantity = itemgetter(0)


@dataclass(slots=True)  # not frozen: making a frozen one takes several times as long
class Account:
    """The account's numbers, NaN where missing or impossible."""

    equity: Decimal
    equity_peak: Decimal
    day_opening_equity: Decimal
    quote_rate: Decimal
    position_value: Decimal
    base_exposure: Decimal
    quote_exposure: Decimal
    exposure_value: Decimal
    available_base: Decimal
    available_quote: Decimal


@dataclass(slots=True)
class Venue:
    """The instrument's numbers, NaN where impossible."""

    price_increment: Decimal
    quantity_increment: Decimal
    minimum_quantity: Decimal
    minimum_cost: Decimal
    taker_fee: Decimal
    maximum_leverage: Decimal


@dataclass(slots=True)
class Case:
    """What the rules read. Nothing changes once it is made."""

    proposal: Proposal
    state: AccountState
    market: MarketState
    ages: Ages
    instrument: Instrument
    limits: Limits
    exact: ExactLimits
    account: Account
    venue: Venue
    sign: int
    entry: Decimal
    stop: Decimal  # on the price grid, never further from the entry than proposed
    take_profit: Decimal  # on the price grid, never nearer than proposed
    risked: Decimal  # from the entry to `stop`, per unit, in quote; below zero on the wrong side
    leverage: Decimal  # what is left of the proposed leverage ...
    allowed_leverage: Decimal  # ... of which this much may be used
    unit_risk: Decimal  # equity currency lost per unit of base when the proposed stop is hit
    unit_value: Decimal  # equity currency per unit of base
    unit_cost: Decimal  # what one unit of base ties up of the balance, times leverage
    purse: Decimal  # free balance less what the order leaves alone, times leverage
    correlated: int  # positions that would lose together, this one included
    correlated_share: Decimal  # of the size, left by the correlation with BTC
    bound: Decimal  # the smallest, before the share and before rounding
    bound_by: str
    size: Decimal


def case_of(
    proposal: Proposal,
    state: AccountState,
    market: MarketState,
    ages: Ages,
    instrument: Instrument,
    limits: Limits,
) -> Case:
    """Runs inside EXACT; never raises."""
    exact, account, venue = exact_limits(limits), _account(state), _venue(instrument)
    buys = proposal.side is Side.BUY
    sign, entry, proposed_stop = (1 if buys else -1), number(proposal.entry), number(proposal.stop)
    # The stop moves towards the entry: rounding never risks more. The target moves away: it never earns less.
    rounding = ROUND_CEILING if buys else ROUND_FLOOR
    stop = on_grid(proposed_stop, venue.price_increment, rounding)
    allowed = _allowed_leverage(proposal, market, exact, venue)
    leverage = ONE if proposal.reduces else min(number(proposal.leverage), allowed)
    unit_value = entry * account.quote_rate
    unit_risk = sign * (entry - proposed_stop) * account.quote_rate
    unit_cost = entry * (ONE + leverage * venue.taker_fee) if buys else ONE
    purse = leverage * _spendable(proposal, exact, account, unit_value)
    share = ONE if proposal.reduces else _correlated_share(market, instrument, limits, exact)
    bound, bound_by = (
        _closing_bound(proposal, purse, unit_cost)
        if proposal.reduces
        else _entry_bound(exact, account, unit_risk, unit_value, purse, unit_cost)
    )
    return Case(
        proposal,
        state,
        market,
        ages,
        instrument,
        limits,
        exact,
        account,
        venue,
        sign,
        entry,
        stop,
        on_grid(number(proposal.take_profit), venue.price_increment, rounding),
        sign * (entry - stop),
        leverage,
        allowed,
        unit_risk,
        unit_value,
        unit_cost,
        purse,
        _correlated(proposal, state, limits),
        share,
        bound,
        bound_by,
        on_grid(bound * share, venue.quantity_increment, ROUND_DOWN),
    )


def _account(state: AccountState) -> Account:
    return Account(
        number(state.equity),
        number(state.equity_peak),
        number(state.day_opening_equity),
        number(state.quote_rate),
        number(state.position_value),
        number(state.base_exposure),
        number(state.quote_exposure),
        number(state.exposure_value),
        number(state.available_base),
        number(state.available_quote),
    )


def _venue(instrument: Instrument) -> Venue:
    return Venue(
        number(instrument.price_increment),
        number(instrument.quantity_increment),
        number(instrument.minimum_quantity),
        number(instrument.minimum_cost),
        number(instrument.taker_fee),
        number(instrument.maximum_leverage),
    )


def _allowed_leverage(proposal: Proposal, market: MarketState, exact: ExactLimits, venue: Venue) -> Decimal:
    """Nothing is borrowed without a live record, nor while volatility is not known."""
    volatility = market.volatility
    if not proposal.live_record or volatility is None:
        return ONE
    allowed = min(exact.leverage, venue.maximum_leverage)
    if not number(volatility) <= exact.leverage_volatility:
        scaled = quotient(allowed * exact.leverage_volatility, number(volatility))
        allowed = on_grid(scaled, LEVERAGE_STEP, ROUND_DOWN)
    return allowed if allowed > ONE else ONE


def _spendable(proposal: Proposal, exact: ExactLimits, account: Account, unit_value: Decimal) -> Decimal:
    """Free balance of the asset that is spent, less the reserve; closing a position may take all of it."""
    buys = proposal.side is Side.BUY
    free = account.available_quote if buys else account.available_base
    if proposal.reduces:
        return free
    price = account.quote_rate if buys else unit_value
    return free - quotient_up(exact.reserve * account.equity, price)


def _correlated(proposal: Proposal, state: AccountState, limits: Limits) -> int:
    """A position on the other side of a market that moves the other way loses together with this one, too."""
    return 1 + sum(
        not _together(proposal.side, other) <= limits.correlated_above for other in state.others or ()
    )


def _together(side: Side, other: OtherPosition) -> Decimal:
    """Correlation of the gains; NaN while it is not known."""
    correlation = number(other.correlation)
    given: object = other.side
    if not isinstance(given, Side):
        return NAN
    return correlation if given is side else -correlation


def _correlated_share(
    market: MarketState, instrument: Instrument, limits: Limits, exact: ExactLimits
) -> Decimal:
    """A correlation that is not known counts as high; BTC itself is not compared with BTC."""
    correlation = market.btc_correlation
    if instrument.pair.base == BTC:
        return ONE
    close = not abs(number(correlation)) <= limits.correlated_above
    return exact.correlated_size if close else ONE


def _entry_bound(
    exact: ExactLimits,
    account: Account,
    unit_risk: Decimal,
    unit_value: Decimal,
    purse: Decimal,
    unit_cost: Decimal,
) -> Bound:
    equity, asset = account.equity, max(account.base_exposure, account.quote_exposure)
    return _smallest(
        (quotient(exact.risk_per_trade * equity, unit_risk), "risk per trade"),
        (quotient(exact.position_cap * equity - account.position_value, unit_value), "position cap"),
        (quotient(exact.asset_cap * equity - asset, unit_value), "asset cap"),
        (quotient(exact.total_exposure * equity - account.exposure_value, unit_value), "total exposure"),
        (quotient(purse, unit_cost), "balance"),
    )


def _closing_bound(proposal: Proposal, purse: Decimal, unit_cost: Decimal) -> Bound:
    return _smallest(
        (number(proposal.reduce_quantity), "quantity to close"), (quotient(purse, unit_cost), "balance")
    )


def _smallest(*bounds: Bound) -> Bound:
    """The first that leaves nothing, else the smallest; NaN leaves nothing."""
    for bound in bounds:
        if not bound[0] > ZERO:
            return ZERO, bound[1]
    return min(bounds, key=_quantity)
