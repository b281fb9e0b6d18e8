"""Rules of the venue: the pair that it trades, whether it takes orders, how many, and of which size."""

from trading.market import PairStatus
from trading.risk.exact import ONE, ZERO, number
from trading.risk.rule_inputs import RuleInputs
from trading.risk.values import Answer


def pair(inputs: RuleInputs) -> Answer:
    """Pass when the instrument is of the proposal's pair."""
    proposed, known = inputs.proposal.pair_key, inputs.instrument.pair.key
    note = "{} proposed, instrument of {}", proposed, known
    return Answer(int(proposed != known), 0, proposed == known, note)


def status(inputs: RuleInputs) -> Answer:
    """Pass when the venue takes market orders of the pair; for one that only reduces, reduce-only is enough."""
    now = inputs.instrument.status
    passes = now is PairStatus.ONLINE or (inputs.proposal.reduces and now is PairStatus.REDUCE_ONLY)
    return Answer(int(not passes), 0, passes, ("{} is {}", inputs.instrument.pair, now))


def order_rate(inputs: RuleInputs) -> Answer:
    """Pass while one more order stays within the budget of a minute."""
    orders, limit = number(inputs.state.recent_orders) + ONE, inputs.limits.orders_per_minute
    note = "{} in a minute with this one, at most {}", orders, limit
    return Answer(orders, limit, ONE <= orders <= limit, note)


def quantity_increment(inputs: RuleInputs) -> Answer:
    """Pass when the size is a multiple of what the venue trades."""
    increment, size = inputs.terms.quantity_increment, inputs.size
    rest = size % increment
    note = "{} in steps of {}, bound by {}", size, increment, inputs.bound.rule
    return Answer(rest, ZERO, rest == ZERO, note)


def minimum_quantity(inputs: RuleInputs) -> Answer:
    """Pass when the venue takes orders this small."""
    minimum, size = inputs.terms.minimum_quantity, inputs.size
    words = "{} {} is what {} leaves, at least {}"
    passes = size > ZERO and size >= minimum
    return Answer(
        size, minimum, passes, (words, size, inputs.instrument.pair.base, inputs.bound.rule, minimum)
    )


def minimum_cost(inputs: RuleInputs) -> Answer:
    """Pass when the venue takes orders this cheap."""
    minimum, cost = inputs.terms.minimum_cost, inputs.size * inputs.entry
    note = "{:.8g} {}, at least {}", cost, inputs.instrument.pair.quote, minimum
    return Answer(cost, minimum, cost >= minimum, note)
