"""Fill or kill: whether an order would be filled completely now, by its trades settled on copies of the accounts."""

from dataclasses import replace
from decimal import Decimal

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ledger import ExchangeAccount, reservation_of
from streaming.sandbox.exchange.matching import MatchStep
from streaming.sandbox.exchange.settlement import capacity, settlement_of
from streaming.sandbox.exchange.working_order import WorkingOrder

WITHOUT_END = Decimal("Infinity")


def can_fill_completely(state: EngineState, taker: WorkingOrder) -> bool:
    """Count of every order on the book what its account could settle, and nothing beyond the taker's own order."""
    trial, left = _TrialFills(state), taker
    for step in state.market(taker.order.request.pair).match(taker, WITHOUT_END).steps:
        after = trial.trade(left, step)
        if after is None or not after.order.remaining:
            return after is not None
        left = after
    return False


class _TrialFills:
    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._accounts: dict[str, ExchangeAccount] = {}

    def trade(self, taker: WorkingOrder, step: MatchStep) -> WorkingOrder | None:
        """Return the taker afterwards: unchanged where the maker could not settle, None where it could not itself."""
        quantity = min(step.quantity, capacity(self._account(taker), taker))
        if not quantity:
            return None
        if step.maker is not None:
            quantity = min(quantity, capacity(self._account(step.maker), step.maker))
            if not quantity or self._fill(step.maker, step.price, quantity, True) is None:
                return taker
        return self._fill(taker, step.price, quantity, False)

    def _fill(
        self, working: WorkingOrder, price: Decimal, quantity: Decimal, maker: bool
    ) -> WorkingOrder | None:
        state, account, order = self._state, self._account(working), working.order
        instrument = state.market(order.request.pair).instrument
        outcome = settlement_of(
            account,
            working=working,
            instrument=instrument,
            price=price,
            quantity=quantity,
            maker=maker,
            at=state.now(),
            prices=state.prices,
        )
        if isinstance(outcome, str):
            return None
        filled = replace(order, filled=order.filled + quantity)
        account.state = outcome.state
        account.reserve(order.order_id, reservation_of(filled, instrument))
        return replace(working, order=filled)

    def _account(self, working: WorkingOrder) -> ExchangeAccount:
        name = working.order.account
        if name not in self._accounts:
            self._accounts[name] = self._state.accounts[name].copy()
        return self._accounts[name]
