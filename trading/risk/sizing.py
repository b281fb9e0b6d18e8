"""Rules about how much: what may be lost, held, spent and borrowed."""

from decimal import Decimal

from trading.risk.answer import Answer
from trading.risk.case import Case
from trading.risk.exact import ONE, ZERO, quotient


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


def leverage(case: Case) -> Answer:
    """What is proposed is at least 1; what is left of it is what limit, venue, record and volatility allow."""
    used, allowed = case.leverage, case.allowed_leverage
    words = "{:.2f} x of the proposed {} x; {:.2f} x is allowed"
    return used, allowed, ONE <= used <= allowed, words, (used, case.proposal.leverage, allowed)
