"""The rule about the daily budget of language models."""

from math import isnan

from trading.risk.exact import number
from trading.risk.rule_inputs import RuleInputs
from trading.risk.values import Answer


def model_budget(inputs: RuleInputs) -> Answer:
    """Refuse entries once the day's models cost more than allowed: the last rung of the budget's ladder.

    Calls are reserved before they are made, so that this only happens when a price or a count of tokens was wrong.
    """
    limit = inputs.limits.model_budget_usd
    if inputs.state.model_usd is None:
        return Answer(0, limit, True, ("no language model is counted",))
    spent = float(number(inputs.state.model_usd))
    if isnan(spent):
        return Answer(spent, limit, False, ("not known, at most {:g} USD a day", limit))
    words = "{:.2f} USD spent on language models this UTC day, at most {:g}"
    return Answer(spent, limit, 0 <= spent <= limit, (words, spent, limit))
