"""Records of the exchange's store: values as JSON, the public prints as rows. Amounts are exact text."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from streaming.sandbox.exchange.amends import OrderAmend
from streaming.sandbox.exchange.ids import IdCounters
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.market import Tick
from streaming.sandbox.model import BalanceChanged, ExchangeFill, Print
from trading.margin.terms import MarginPosition
from trading.market import Pair, PairStatus
from trading.orders import Side

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SIDES = {side.value: side for side in Side}  # a quarter of a million prints are read with it


class ExchangeRecord(msgspec.Struct, frozen=True):
    """The exchange as a whole."""

    market_at: datetime  # market time of the newest change
    counters: IdCounters
    market_maker: dict[str, Decimal]
    fees: dict[str, Decimal]
    switches: dict[str, float]
    system_status: PairStatus
    statuses: dict[str, PairStatus]  # by the pair's key


class AccountRecord(msgspec.Struct, frozen=True):
    """An account's `MarginAccount` without its terms, which the settings give."""

    opening: dict[str, Decimal]
    balances: dict[str, Decimal]
    realised: dict[str, Decimal]
    fees: dict[str, Decimal]
    positions: tuple[MarginPosition, ...]


class MarketRecord(msgspec.Struct, frozen=True):
    """One pair's `PairMarket`."""

    last: Decimal | None
    at: datetime | None
    ticks_at: int
    last_id: int
    taken: dict[Side, Decimal]
    step: int


_encode = msgspec.json.Encoder().encode
read_order = msgspec.json.Decoder(WorkingOrder).decode
read_fill = msgspec.json.Decoder(ExchangeFill).decode
read_entry = msgspec.json.Decoder(BalanceChanged).decode
read_amend = msgspec.json.Decoder(OrderAmend).decode
read_exchange = msgspec.json.Decoder(ExchangeRecord).decode
read_account = msgspec.json.Decoder(AccountRecord).decode
read_market = msgspec.json.Decoder(MarketRecord).decode


def to_json(value: object) -> str:
    return _encode(value).decode()


def text(amount: Decimal) -> str:
    return format(amount, "f")


def microseconds(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND


def print_row(each: Print) -> tuple[Any, ...]:
    amounts = (text(each.price), text(each.quantity))
    return each.pair.key, each.trade_id, *amounts, each.side.value, each.order_type, microseconds(each.at)


def tick_of_print(pair: Pair, row: tuple[Any, ...]) -> Tick:
    """Return a stored print (time, price, quantity, side, order type) as the tape takes it."""
    at, price, quantity, side, order_type = row
    time = EPOCH + at * MICROSECOND
    return Tick(
        pair=pair,
        at=time,
        price=Decimal(price),
        quantity=Decimal(quantity),
        side=SIDES[side],
        order_type=order_type,
    )
