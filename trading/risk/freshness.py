"""Rules about time: how old the inputs are, and none of them from the future."""

from math import isnan

from trading.risk.answer import Answer
from trading.risk.case import Case
from trading.risk.exact import number


def clock_skew(case: Case) -> Answer:
    """No input comes from the future, as far as clocks can tell."""
    words = "{:.1f} s ahead of the decision's clock, at most {:g}"
    return _needed(case.ages.clock_skew_seconds, case.limits.clock_skew_seconds, words)


def candle_age(case: Case) -> Answer:
    return _needed(case.ages.candle, case.limits.candle_age, "{:.1f} candles old, at most {:g}")


def feature_age(case: Case) -> Answer:
    return _needed(case.ages.features, case.limits.feature_age, "{:.1f} candles old, at most {:g}")


def balance_age(case: Case) -> Answer:
    words = "oldest order without an outcome {:.1f} candles ago, at most {:g}"
    return _needed(case.ages.balance, case.limits.balance_age, words)


def price_age(case: Case) -> Answer:
    """Equity and every cap rest on prices that are not too old."""
    age, limit, pair = case.ages.prices, case.limits.price_age, case.ages.oldest_price
    measured, against, passes, words, parts = _age(age, limit, "{:.1f} candles old, at most {:g}: {}")
    return measured, against, passes, words, (*parts, pair) if parts else parts


def policy_age(case: Case) -> Answer:
    return _age(case.ages.policy_days, case.limits.policy_age_days, "{:.1f} days old, at most {:g}")


def sentiment_age(case: Case) -> Answer:
    return _age(case.ages.sentiment_hours, case.limits.sentiment_age_hours, "{:.1f} hours old, at most {:g}")


def _age(age: float | None, limit: float, words: str) -> Answer:
    if age is None:
        return 0, limit, True, "not used", ()
    return _needed(age, limit, words)


def _needed(age: float | None, limit: float, words: str) -> Answer:
    """An age that is not known is too old: no decision does without that input."""
    known = age if type(age) is float else float(number(age))
    if isnan(known) and known is not age:
        return known, limit, False, "not known, at most {:g}", (limit,)
    # A negative age is a clock that disagrees, not a fresh input.
    return known, limit, 0 <= known <= limit, words, (known, limit)
