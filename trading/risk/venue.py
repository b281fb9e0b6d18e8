"""Rules of the venue: the pair that it trades, whether it takes orders, how many, and of which size."""

from trading.market import PairStatus
from trading.risk.answer import Answer
from trading.risk.case import Case
from trading.risk.exact import ONE, ZERO, number


def pair(case: Case) -> Answer:
    """The instrument is the one that the proposal speaks of."""
    asked, known = case.proposal.pair_key, case.instrument.pair.key
    return int(asked != known), 0, asked == known, "{} proposed, instrument of {}", (asked, known)


def status(case: Case) -> Answer:
    """The venue takes market orders of the pair; one that only reduces is taken in reduce-only, too."""
    now = case.instrument.status
    passes = now is PairStatus.ONLINE or (case.proposal.reduces and now is PairStatus.REDUCE_ONLY)
    return int(not passes), 0, passes, "{} is {}", (case.instrument.pair, now)


def order_rate(case: Case) -> Answer:
    """One more order stays within the budget of a minute."""
    orders, limit = number(case.state.recent_orders) + ONE, case.limits.orders_per_minute
    return orders, limit, ONE <= orders <= limit, "{} in a minute with this one, at most {}", (orders, limit)


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
