"""Rules about the prices that protect a position, and about what may be borrowed for it."""

from trading.risk.answer import Answer
from trading.risk.case import Case
from trading.risk.exact import ONE, ZERO, quotient


def stop_loss(case: Case) -> Answer:
    """There is a stop, on the losing side of the entry and near enough."""
    risked, limit = case.risked, case.exact.stop_distance
    measured = quotient(risked, case.entry)
    if case.proposal.stop is None:
        return measured, limit, False, "missing: no entry without a stop", ()
    side = "below" if case.sign > 0 else "above"
    passes = ZERO < risked <= limit * case.entry and case.stop > ZERO
    words = "{:.2%} {} the entry, more than 0 and at most {:.2%}"
    return measured, limit, passes, words, (measured, side, limit)


def trailing_stop(case: Case) -> Answer:
    """The gain after which the stop follows the best price can be reached."""
    after = case.entry + case.sign * case.exact.trailing_after * case.risked
    passes = case.risked > ZERO and after > ZERO
    words = "from {:.8g} on, {:.8g} behind the best price"
    return after, ZERO, passes, words, (after, case.risked)


def take_profit(case: Case) -> Answer:
    """There is a target, and it is worth the risk."""
    limit, reward = case.exact.reward_risk, case.sign * (case.take_profit - case.entry)
    measured = quotient(reward, case.risked)
    if case.proposal.take_profit is None:
        return measured, limit, False, "missing: no entry without a take profit", ()
    passes = case.risked > ZERO and reward >= limit * case.risked and case.take_profit > ZERO
    return measured, limit, passes, "reward {:.2f} x the risk, at least {:g}", (measured, limit)


def leverage(case: Case) -> Answer:
    """What is proposed is at least 1; what is left of it is what limit, venue, record and volatility allow."""
    used, allowed = case.leverage, case.allowed_leverage
    words = "{:.2f} x of the proposed {} x; {:.2f} x is allowed"
    return used, allowed, ONE <= used <= allowed, words, (used, case.proposal.leverage, allowed)
