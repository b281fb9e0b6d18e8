"""Settlement of one fill on one account, computed before anything is changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, localcontext

from streaming.sandbox.exchange.ledger import ExchangeAccount
from streaming.sandbox.exchange.prices import to_ten_places
from streaming.sandbox.exchange.working_order import WorkingOrder
from trading.errors import InvalidValue, NotStored
from trading.margin.account import MarginAccount
from trading.market import Instrument, Pair
from trading.orders import Fill
from trading.portfolio import cash_flows
from trading.portfolio.exact import ROUNDED

ZERO = Decimal(0)
INSUFFICIENT_FUNDS = "Insufficient funds"
INSUFFICIENT_MARGIN = "Insufficient margin"
POSITION_CLOSED = "Reduce only:Position is closed"


@dataclass(frozen=True, slots=True)
class Settlement:
    state: MarginAccount
    cost: Decimal
    fee: Decimal
    margin: Decimal  # of what the fill opened


def capacity(account: ExchangeAccount, working: WorkingOrder) -> Decimal:
    """Return how much of the order may still be filled."""
    order = working.order
    if not order.request.reduce_only:
        return order.remaining
    return min(order.remaining, account.open_quantity(order.request.pair, order.request.side))


def settlement_of(
    account: ExchangeAccount,
    working: WorkingOrder,
    instrument: Instrument,
    price: Decimal,
    quantity: Decimal,
    maker: bool,
    at: datetime,
    prices: Mapping[Pair, Decimal],
) -> Settlement | str:
    """Settle a fill on paper; return a reason instead where the account cannot take it: its order ends with that."""
    request = working.order.request
    rate = instrument.maker_fee if maker else instrument.taker_fee
    fill = Fill(
        fill_id=working.order.order_id,
        intent_id=working.order.order_id,
        account=account.name,
        pair=request.pair,
        side=request.side,
        price=price,
        quantity=quantity,
        fee=quantity * rate if request.fee_in_base else price * quantity * rate,
        fee_asset=request.fee_asset,
        filled_at=at,
    )
    if request.leverage > 1:
        return _settle_margin(account, fill=fill, leverage=request.leverage, fee_rate=rate, prices=prices)
    return _settle_spot(account, fill)


def _settle_spot(account: ExchangeAccount, fill: Fill) -> Settlement | str:
    state, flows = account.state, cash_flows(fill)
    for asset, change in flows.items():
        own = account.reserved_by(fill.intent_id, asset)
        if change < 0 and account.available(asset) + own + change < 0:
            return INSUFFICIENT_FUNDS
    balances, fees = dict(state.balances), dict(state.fees)
    for asset, change in flows.items():
        balances[asset] = balances.get(asset, ZERO) + change
    fees[fill.fee_asset] = fees.get(fill.fee_asset, ZERO) + fill.fee
    return Settlement(
        replace(state, balances=balances, fees=fees), fill.price * fill.quantity, fill.fee, ZERO
    )


def _settle_margin(
    account: ExchangeAccount, fill: Fill, leverage: int, fee_rate: Decimal, prices: Mapping[Pair, Decimal]
) -> Settlement | str:
    """Close what is open on the other side, then open with the rest."""
    state = account.state
    closing = min(fill.quantity, account.open_quantity(fill.pair, fill.side))
    opening = fill.quantity - closing
    if closing:
        state = state.close_position(_share(fill, closing, fee_rate))
    if opening:
        try:
            state = state.open_position(_share(fill, opening, fee_rate), Decimal(leverage), prices)
        except (InvalidValue, NotStored):  # no free margin, or no price to reckon it with
            return INSUFFICIENT_MARGIN
    with localcontext(ROUNDED):
        margin = to_ten_places(opening * fill.price / leverage)
    return Settlement(state, fill.price * fill.quantity, fill.fee, margin)


def _share(fill: Fill, quantity: Decimal, fee_rate: Decimal) -> Fill:
    return replace(fill, quantity=quantity, fee=fill.price * quantity * fee_rate)


def balance_changes(before: MarginAccount, after: MarginAccount) -> dict[str, Decimal]:
    """Return assets whose balance is different, and by how much."""
    return {
        asset: amount - before.balances.get(asset, ZERO)
        for asset, amount in after.balances.items()
        if amount != before.balances.get(asset, ZERO)
    }


def fee_changes(before: MarginAccount, after: MarginAccount) -> dict[str, Decimal]:
    return {
        asset: amount - before.fees.get(asset, ZERO)
        for asset, amount in after.fees.items()
        if amount != before.fees.get(asset, ZERO)
    }
