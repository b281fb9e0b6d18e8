"""Rules about positions that would lose together."""

from trading.risk.answer import Answer
from trading.risk.case import BTC, Case


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
