"""Rules about time: how old the inputs are, and that none of them comes from the future."""

from math import isnan

from trading.risk.exact import number
from trading.risk.rule_inputs import RuleInputs
from trading.risk.values import Answer


def clock_skew(inputs: RuleInputs) -> Answer:
    """Pass when the machine's clock and the venue's agree, and no input comes from the future."""
    words = "clocks are {:.1f} s apart, at most {:g}: this machine's and the venue's, or an input's and the decision's"
    return _age_of_needed(inputs.ages.clock_skew_seconds, inputs.limits.clock_skew_seconds, words)


def candle_age(inputs: RuleInputs) -> Answer:
    """Limit the age of the newest candle."""
    return _age_of_needed(inputs.ages.candle, inputs.limits.candle_age, "{:.1f} candles old, at most {:g}")


def feature_age(inputs: RuleInputs) -> Answer:
    """Limit the age of the markets behind the features."""
    return _age_of_needed(inputs.ages.features, inputs.limits.feature_age, "{:.1f} candles old, at most {:g}")


def balance_age(inputs: RuleInputs) -> Answer:
    """Limit the age of the oldest order without a known outcome."""
    words = "oldest order without an outcome {:.1f} candles ago, at most {:g}"
    return _age_of_needed(inputs.ages.balance, inputs.limits.balance_age, words)


def reconciliation_age(inputs: RuleInputs) -> Answer:
    """Limit the time since ledger and exchange agreed: balances that nobody has compared may be others by now."""
    words = "ledger and exchange last agreed {:.0f} s ago, at most {:g}"
    return _age_if_used(inputs.ages.reconciliation_seconds, inputs.limits.reconciliation_age_seconds, words)


def trade_age(inputs: RuleInputs) -> Answer:
    """Limit the time without a trade: candles that only repeat a price are fresh, their price is not."""
    words = "nothing traded for {:.1f} candles, at most {:g}"
    return _age_of_needed(inputs.ages.trade, inputs.limits.trade_age, words)


def feed_gap(inputs: RuleInputs) -> Answer:
    """Refuse while trades of the newest candles may be missing: what the features say of them may be wrong."""
    age, limit = inputs.ages.feed_gap, inputs.limits.feed_gap_candles
    if age is None:
        return Answer(0, limit, True, ("no trade is missing in what was read",))
    known = float(number(age))
    words = "trades may be missing until {:.1f} candles ago, none may in the newest {:g}"
    return Answer(known, limit, known > limit, (words, known, limit))


def book_age(inputs: RuleInputs) -> Answer:
    """Limit the time since the order book was last verified, where the market is streamed: an order goes into it."""
    words = "last seen verified {:.1f} s ago, at most {:g}"
    return _age_if_used(inputs.ages.book_seconds, inputs.limits.book_age_seconds, words)


def price_age(inputs: RuleInputs) -> Answer:
    """Limit the age of the prices that equity and every cap rest on."""
    ages, limit = inputs.ages, inputs.limits.price_age
    return _age_if_used(ages.prices, limit, "{:.1f} candles old, at most {:g}: {}", ages.oldest_price)


def policy_age(inputs: RuleInputs) -> Answer:
    """Limit the age of the champion, if it voted."""
    return _age_if_used(
        inputs.ages.policy_days, inputs.limits.policy_age_days, "{:.1f} days old, at most {:g}"
    )


def sentiment_age(inputs: RuleInputs) -> Answer:
    """Limit the age of the newest article, if the analyst voted."""
    words = "{:.1f} hours old, at most {:g}"
    return _age_if_used(inputs.ages.sentiment_hours, inputs.limits.sentiment_age_hours, words)


def _age_if_used(age: float | None, limit: float, words: str, *details: str) -> Answer:
    if age is None:
        return Answer(0, limit, True, ("not used",))
    return _age_of_needed(age, limit, words, *details)


def _age_of_needed(age: float | None, limit: float, words: str, *details: str) -> Answer:
    """Judge an age of a needed input: one that is not known is too old."""
    known = age if type(age) is float else float(number(age))
    if isnan(known) and known is not age:
        return Answer(known, limit, False, ("not known, at most {:g}", limit))
    # A negative age is a clock that disagrees, not a fresh input.
    return Answer(known, limit, 0 <= known <= limit, (words, *(known, limit, *details)))
