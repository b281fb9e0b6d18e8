"""Accounts that borrow: rollover fees when they are due, and liquidation when their level is too low."""

from decimal import Decimal

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ledger import ExchangeAccount, is_liquidated, next_rollover
from streaming.sandbox.exchange.order_entry import place
from streaming.sandbox.model import ExchangeOrder, NewOrder, OrderState, OrderType
from trading.market import Pair
from trading.orders import Side

LIQUIDATION = "Liquidation: the margin level is too low"


def charge(state: EngineState) -> None:
    """Every rollover that is due."""
    for account in list(state.borrowers.values()):
        due = next_rollover(account.state)
        if due is not None and due <= state.now():
            state.settle(account, account.state.with_rollovers(state.now()), "rollover", account.name)


def is_charge_due(state: EngineState) -> bool:
    now = state.now()
    return any((next_rollover(account.state) or now) <= now for account in state.borrowers.values())


def liquidate(state: EngineState) -> None:
    """Every account at the liquidation level; only those with a position are looked at."""
    for account in list(state.borrowers.values()):
        if is_liquidated(account.state, state.prices):
            _liquidate(state, account)


def _liquidate(state: EngineState, account: ExchangeAccount) -> None:
    """Cancel every order, so that none stands in the way, then sell and buy back as far as the book goes.

    What is left over is tried again when the market moves.
    """
    for working in list(account.orders.values()):
        state.end(working, OrderState.CANCELED, LIQUIDATION)
    open_now: dict[Pair, Decimal] = {}
    for each in account.state.positions:
        open_now[each.pair] = open_now.get(each.pair, Decimal(0)) + each.quantity
    for pair, quantity in open_now.items():
        if state.matches(pair):
            place(state, _close_request(state, account, pair, quantity))


def _close_request(
    state: EngineState, account: ExchangeAccount, pair: Pair, quantity: Decimal
) -> ExchangeOrder:
    leverage = max(each.leverage for each in account.state.positions if each.pair == pair)
    request = NewOrder(
        pair=pair,
        side=Side.SELL if quantity > 0 else Side.BUY,
        order_type=OrderType.MARKET,
        quantity=abs(quantity),
        leverage=int(leverage),
        reduce_only=True,
    )
    return ExchangeOrder(
        order_id="",
        account=account.name,
        request=request,
        limit_price=None,
        trigger_price=None,
        state=OrderState.PENDING,
        reason=LIQUIDATION,
        triggered=False,
        opened_at=state.now(),
        closed_at=None,
        entered=state.server(),
    )
