"""The rule that every number which the order rests on is finite and possible."""

from collections.abc import Callable
from decimal import Decimal
from operator import attrgetter

from trading.orders import Side
from trading.risk.exact import ONE, exceeds, is_not_negative, is_positive, number
from trading.risk.rule_inputs import RuleInputs
from trading.risk.values import Answer


class NumberGroup:
    """Numbers that must all be possible in the same way; read at once, since that is quickest."""

    def __init__(self, possible: Callable[[Decimal], bool], *names: str) -> None:
        self._possible = possible
        self._names = [name.rpartition(".")[2] for name in names]
        self._values = attrgetter(*names) if len(names) > 1 else lambda inputs: (attrgetter(*names)(inputs),)

    def impossible(self, inputs: RuleInputs) -> list[str]:
        """Return the names of those that are not possible; NaN never is."""
        values = self._values(inputs)
        if all(map(self._possible, values)):
            return []
        return [name for name, value in zip(self._names, values, strict=True) if not self._possible(value)]


_ENTERING = (
    NumberGroup(
        is_positive,
        "entry",
        "terms.price_increment",
        "terms.quantity_increment",
        "account.equity",
        "account.equity_peak",
        "account.day_opening_equity",
        "account.quote_rate",
    ),
    NumberGroup(
        is_not_negative,
        "terms.minimum_quantity",
        "terms.minimum_cost",
        "terms.taker_fee",
        "account.available_base",
        "account.available_quote",
        "account.position_value",
        "account.base_exposure",
        "account.quote_exposure",
        "account.exposure_value",
    ),
)
_CLOSING = (
    NumberGroup(is_positive, "entry", "terms.price_increment", "terms.quantity_increment"),
    NumberGroup(is_not_negative, "terms.minimum_quantity", "terms.minimum_cost", "terms.taker_fee"),
)
_BALANCE_SPENT = {
    Side.BUY: NumberGroup(is_not_negative, "account.available_quote"),
    Side.SELL: NumberGroup(is_not_negative, "account.available_base"),
}


def numbers(inputs: RuleInputs) -> Answer:
    """Pass when every number that the order rests on is finite and possible."""
    wrong = _impossible_in_closing(inputs) if inputs.proposal.reduces else _impossible_in_entry(inputs)
    if not wrong:
        return Answer(0, 0, True, ("all finite and possible",))
    sources = (inputs.proposal, inputs.instrument, inputs.state, inputs.market)
    values = [next(getattr(each, name) for each in sources if hasattr(each, name)) for name in wrong]
    listed = ", ".join(f"{name} is {value}" for name, value in zip(wrong, values, strict=True))
    return Answer(len(wrong), 0, False, ("{}", listed))


def _impossible_in_entry(inputs: RuleInputs) -> list[str]:
    market, state = inputs.market, inputs.state
    wrong = [name for group in _ENTERING for name in group.impossible(inputs)]
    if market.btc_correlation is not None and exceeds(abs(number(market.btc_correlation)), ONE):
        wrong.append("btc_correlation")
    if not is_not_negative(number(state.recent_orders)):
        wrong.append("recent_orders")
    if inputs.proposal.converts and not is_positive(number(inputs.proposal.reduce_quantity)):
        wrong.append("reduce_quantity")
    side: object = inputs.proposal.side
    if not isinstance(side, Side):
        wrong.append("side")
    return wrong + [name for name in ("others", "halts") if getattr(state, name) is None]


def _impossible_in_closing(inputs: RuleInputs) -> list[str]:
    """Name the wrong numbers of a closing order: it needs no value of the account."""
    side: object = inputs.proposal.side
    if not isinstance(side, Side):
        return ["side"]
    wrong = [name for group in (*_CLOSING, _BALANCE_SPENT[side]) for name in group.impossible(inputs)]
    if not is_positive(number(inputs.proposal.reduce_quantity)):
        wrong.append("reduce_quantity")
    return wrong
