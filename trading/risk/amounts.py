"""Rules about how much: they bound the size, and check that the size that is left keeps every bound."""

from decimal import Decimal

from trading.risk.answer import Answer
from trading.risk.case import BTC, Case
from trading.risk.exact import ONE, ZERO, quotient


def correlated_positions(case: Case) -> Answer:
    """Not too many positions that would lose together."""
    count, limit = case.correlated, case.limits.correlated_positions
    words = "{} with this one, at most {}; correlated above {:g}"
    return count, limit, count <= limit, words, (count, limit, case.limits.correlated_above)


def btc_correlation(case: Case) -> Answer:
    """A pair that moves with BTC gets a part of the size only."""
    measured, left = case.market.btc_correlation, case.correlated_share
    limit = case.bound * left
    if case.instrument.pair.base == BTC:
        return case.size, limit, case.size <= limit, "the pair is BTC's own", ()
    known = "not known" if measured is None else f"{measured:.2f}"
    words = "correlation {}, the whole size up to {:g}: {:g} of it is left"
    return case.size, limit, case.size <= limit, words, (known, case.limits.correlated_above, left)


def risk_per_trade(case: Case) -> Answer:
    """What the stop would lose."""
    return _share(case, case.size * case.unit_risk, case.exact.risk_per_trade, "lost at the stop")


def position_cap(case: Case) -> Answer:
    """What this pair's position would be worth."""
    value = case.account.position_value + case.size * case.unit_value
    return _share(case, value, case.exact.position_cap, "in this position")


def asset_cap(case: Case) -> Answer:
    """What positions of one asset would be worth, of the pair's base or its quote."""
    held = max(case.account.base_exposure, case.account.quote_exposure)
    return _share(case, held + case.size * case.unit_value, case.exact.asset_cap, "in positions of one asset")


def total_exposure(case: Case) -> Answer:
    """What all positions would be worth."""
    value = case.account.exposure_value + case.size * case.unit_value
    return _share(case, value, case.exact.total_exposure, "in all positions")


def _share(case: Case, value: Decimal, limit: Decimal, words: str) -> Answer:
    equity = case.account.equity
    measured = quotient(value, equity)
    passes = value <= limit * equity and equity > ZERO
    return measured, limit, passes, "{:.2%} of equity {}, at most {:.2%}", (measured, words, limit)


def balance(case: Case) -> Answer:
    """The order can be paid, and leaves the reserve where it was."""
    pair = case.instrument.pair
    asset = pair.quote if case.sign > 0 else pair.base
    needed, purse = case.size * case.unit_cost, case.purse
    passes = needed <= purse and case.leverage > ZERO
    if case.leverage != ONE:
        needed, purse = quotient(needed, case.leverage), quotient(purse, case.leverage)
    return needed, purse, passes, "ties up {:.8g} {}, {:.8g} may be spent", (needed, asset, purse)


def quantity_increment(case: Case) -> Answer:
    """The size is one that the venue can trade."""
    step, size = case.venue.quantity_increment, case.size
    left = size % step
    return left, ZERO, left == ZERO, "{} in steps of {}, bound by {}", (size, step, case.bound_by)


def minimum_quantity(case: Case) -> Answer:
    """The venue takes orders this small."""
    least, size = case.venue.minimum_quantity, case.size
    words = "{} {} is what {} leaves, at least {}"
    passes = size > ZERO and size >= least
    return size, least, passes, words, (size, case.instrument.pair.base, case.bound_by, least)


def minimum_cost(case: Case) -> Answer:
    """The venue takes orders this cheap."""
    least, cost = case.venue.minimum_cost, case.size * case.entry
    return cost, least, cost >= least, "{:.8g} {}, at least {}", (cost, case.instrument.pair.quote, least)
