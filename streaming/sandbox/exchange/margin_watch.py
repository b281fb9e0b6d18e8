"""Accounts that borrow: rollover fees when they are due, and liquidation when their level is too low."""

from decimal import Decimal

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.entry import place
from streaming.sandbox.exchange.ledger import ExchangeAccount, is_liquidated, next_rollover
from streaming.sandbox.model import ExchangeOrder, NewOrder, OrderState, OrderType
from trading.market import Pair
from trading.orders import Side

LIQUIDATION = "Liquidation: the margin level is too low"


def charge(floor: EngineState) -> None:
    """Every rollover that is due."""
    for account in list(floor.borrowers.values()):
        due = next_rollover(account.state)
        if due is not None and due <= floor.now():
            floor.settle(account, account.state.with_rollovers(floor.now()), "rollover", account.name)


def is_charge_due(floor: EngineState) -> bool:
    now = floor.now()
    return any((next_rollover(account.state) or now) <= now for account in floor.borrowers.values())


def liquidate(floor: EngineState) -> None:
    """Every account at the liquidation level; only those with a position are looked at."""
    for account in list(floor.borrowers.values()):
        if is_liquidated(account.state, floor.prices):
            _liquidate(floor, account)


def _liquidate(floor: EngineState, account: ExchangeAccount) -> None:
    """Cancel every order, so that none stands in the way, then sell and buy back as far as the book goes.

    What is left over is tried again when the market moves.
    """
    for working in list(account.orders.values()):
        floor.end(working, OrderState.CANCELED, LIQUIDATION)
    open_now: dict[Pair, Decimal] = {}
    for each in account.state.positions:
        open_now[each.pair] = open_now.get(each.pair, Decimal(0)) + each.quantity
    for pair, quantity in open_now.items():
        if floor.matches(pair):
            place(floor, _closing(floor, account, pair, quantity))


def _closing(floor: EngineState, account: ExchangeAccount, pair: Pair, quantity: Decimal) -> ExchangeOrder:
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
        opened_at=floor.now(),
        closed_at=None,
        entered=floor.server(),
    )
