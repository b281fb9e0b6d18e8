"""Rules of the venue: the pair that it trades, whether it takes orders, how many, and of which size."""

from trading.market import PairStatus
from trading.risk.case import Case
from trading.risk.exact import ONE, ZERO, number
from trading.risk.values import Answer


def pair(case: Case) -> Answer:
    """Pass when the instrument is of the proposal's pair."""
    proposed, known = case.proposal.pair_key, case.instrument.pair.key
    note = "{} proposed, instrument of {}", proposed, known
    return Answer(int(proposed != known), 0, proposed == known, note)


def status(case: Case) -> Answer:
    """Pass when the venue takes market orders of the pair; for one that only reduces, reduce-only is enough."""
    now = case.instrument.status
    passes = now is PairStatus.ONLINE or (case.proposal.reduces and now is PairStatus.REDUCE_ONLY)
    return Answer(int(not passes), 0, passes, ("{} is {}", case.instrument.pair, now))


def order_rate(case: Case) -> Answer:
    """Pass while one more order stays within the budget of a minute."""
    orders, limit = number(case.state.recent_orders) + ONE, case.limits.orders_per_minute
    note = "{} in a minute with this one, at most {}", orders, limit
    return Answer(orders, limit, ONE <= orders <= limit, note)


def quantity_increment(case: Case) -> Answer:
    """Pass when the size is a multiple of what the venue trades."""
    increment, size = case.terms.quantity_increment, case.size
    rest = size % increment
    note = "{} in steps of {}, bound by {}", size, increment, case.bound.rule
    return Answer(rest, ZERO, rest == ZERO, note)


def minimum_quantity(case: Case) -> Answer:
    """Pass when the venue takes orders this small."""
    minimum, size = case.terms.minimum_quantity, case.size
    words = "{} {} is what {} leaves, at least {}"
    passes = size > ZERO and size >= minimum
    return Answer(size, minimum, passes, (words, size, case.instrument.pair.base, case.bound.rule, minimum))


def minimum_cost(case: Case) -> Answer:
    """Pass when the venue takes orders this cheap."""
    minimum, cost = case.terms.minimum_cost, case.size * case.entry
    note = "{:.8g} {}, at least {}", cost, case.instrument.pair.quote, minimum
    return Answer(cost, minimum, cost >= minimum, note)
