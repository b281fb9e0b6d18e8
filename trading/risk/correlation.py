"""Positions that would lose together: how many there may be, and the smaller size of a pair that moves with BTC."""

from decimal import Decimal

from trading.market import Instrument
from trading.orders import Side
from trading.risk.exact import NAN, ONE, ExactLimits, exceeds, number
from trading.risk.limits import Limits
from trading.risk.rule_inputs import RuleInputs
from trading.risk.values import Answer, MarketState, OtherPosition

BTC = "BTC"


def correlated_positions(inputs: RuleInputs) -> Answer:
    """Pass while not too many positions would lose together."""
    side, limit, threshold = (
        inputs.proposal.side,
        inputs.limits.correlated_positions,
        inputs.limits.correlated_above,
    )
    others = inputs.state.others or ()
    count = 1 + sum(exceeds(_correlation_of_gains(side, other), threshold) for other in others)
    note = "{} with this one, at most {}; correlated above {:g}", count, limit, threshold
    return Answer(count, limit, count <= limit, note)


def _correlation_of_gains(side: Side, other: OtherPosition) -> Decimal:
    """NaN while it is not known. Opposite sides of two markets that move oppositely lose together."""
    correlation = number(other.correlation)
    other_side: object = other.side
    if not isinstance(other_side, Side):
        return NAN
    return correlation if other_side is side else -correlation


def btc_correlation(inputs: RuleInputs) -> Answer:
    """Limit a pair that moves with BTC to a part of the size."""
    measured, share = inputs.market.btc_correlation, inputs.correlated_share
    limit = inputs.bound.quantity * share
    if inputs.instrument.pair.base == BTC:
        return Answer(inputs.size, limit, inputs.size <= limit, ("the pair is BTC's own",))
    known = "not known" if measured is None else f"{measured:.2f}"
    words = "correlation {}, the whole size up to {:g}: {:g} of it is left"
    return Answer(
        inputs.size, limit, inputs.size <= limit, (words, known, inputs.limits.correlated_above, share)
    )


def correlated_size(
    market: MarketState, instrument: Instrument, limits: Limits, exact: ExactLimits
) -> Decimal:
    """Return the share of the size that is left; a correlation that is not known counts as high, BTC's own as none."""
    if instrument.pair.base == BTC:
        return ONE
    correlated = exceeds(abs(number(market.btc_correlation)), limits.correlated_above)
    return exact.correlated_size if correlated else ONE
