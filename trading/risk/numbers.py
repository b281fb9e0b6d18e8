"""The rule that every number which the order rests on is finite and possible."""

from collections.abc import Callable
from operator import attrgetter

from trading.orders import Side
from trading.risk.answer import Answer
from trading.risk.case import Case
from trading.risk.exact import ZERO, number


class Numbers:
    """Numbers of a case that must all be possible in the same way; read at once, since that is quickest."""

    def __init__(self, possible: Callable[..., bool], *names: str) -> None:
        self._possible = possible
        self._names = [name.rpartition(".")[2] for name in names]
        self._read = attrgetter(*names) if len(names) > 1 else lambda case: (attrgetter(*names)(case),)

    def wrong(self, case: Case) -> list[str]:
        """Names of those that are not; NaN never is."""
        values = self._read(case)
        if all(map(self._possible, values)):
            return []
        return [name for name, value in zip(self._names, values, strict=True) if not self._possible(value)]


_ENTERING = (
    Numbers(
        ZERO.__lt__,
        "entry",
        "venue.price_increment",
        "venue.quantity_increment",
        "venue.maximum_leverage",
        "account.equity",
        "account.equity_peak",
        "account.day_opening_equity",
        "account.quote_rate",
    ),
    Numbers(
        ZERO.__le__,
        "venue.minimum_quantity",
        "venue.minimum_cost",
        "venue.taker_fee",
        "account.available_base",
        "account.available_quote",
        "account.position_value",
        "account.base_exposure",
        "account.quote_exposure",
        "account.exposure_value",
    ),
)
_CLOSING = (
    Numbers(ZERO.__lt__, "entry", "venue.price_increment", "venue.quantity_increment"),
    Numbers(ZERO.__le__, "venue.minimum_quantity", "venue.minimum_cost", "venue.taker_fee"),
)
_SPENT = {
    Side.BUY: Numbers(ZERO.__le__, "account.available_quote"),
    Side.SELL: Numbers(ZERO.__le__, "account.available_base"),
}


def numbers(case: Case) -> Answer:
    """Every number that the order rests on is finite and possible."""
    wrong = _closing(case) if case.proposal.reduces else _entering(case)
    if not wrong:
        return 0, 0, True, "all finite and possible", ()
    return len(wrong), 0, False, "{}", (", ".join(f"{name} is {_given(case, name)}" for name in wrong),)


def _entering(case: Case) -> list[str]:
    market, (above_zero, not_below) = case.market, _ENTERING
    wrong = above_zero.wrong(case) + not_below.wrong(case)
    if market.volatility is not None and not number(market.volatility) >= ZERO:
        wrong.append("volatility")
    if market.btc_correlation is not None and not abs(number(market.btc_correlation)) <= 1:
        wrong.append("btc_correlation")
    if not number(case.state.recent_orders) >= ZERO:
        wrong.append("recent_orders")
    return wrong + _missing(case)


def _missing(case: Case) -> list[str]:
    """Names of what is no number and still must be there."""
    state, side = case.state, case.proposal.side
    wrong = [name for name in ("others", "halts") if getattr(state, name) is None]
    return wrong if isinstance(side, Side) else ["side", *wrong]


def _closing(case: Case) -> list[str]:
    """A position can be closed without knowing what the account is worth."""
    side: object = case.proposal.side
    if not isinstance(side, Side):
        return ["side"]
    wrong = [name for needed in (*_CLOSING, _SPENT[side]) for name in needed.wrong(case)]
    if not number(case.proposal.reduce_quantity) > ZERO:
        wrong.append("reduce_quantity")
    return wrong


def _given(case: Case, name: str) -> object:
    owners = (case.proposal, case.instrument, case.state, case.market)
    return next(getattr(owner, name) for owner in owners if hasattr(owner, name))
