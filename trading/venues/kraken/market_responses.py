"""Responses of Kraken's public calls. Fields without a use here are left out; unknown ones are ignored."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from trading.market import PairStatus


class ServerTimeResponse(msgspec.Struct, frozen=True):
    unixtime: int


class SystemStatusResponse(msgspec.Struct, frozen=True):
    status: Literal["online", "maintenance", "cancel_only", "post_only", "limit_only", "reduce_only"]
    timestamp: datetime

    @property
    def state(self) -> PairStatus:
        return PairStatus(self.status)


class AssetInfo(msgspec.Struct, frozen=True):
    altname: str
    decimals: int
    display_decimals: int
    status: str = "enabled"  # responses of before 2023 have none


class AssetPair(msgspec.Struct, frozen=True):
    """`ordermin`, `costmin`, `tick_size` and `status` came later: responses of 2021 lack some of them."""

    altname: str
    base: str
    quote: str
    pair_decimals: int
    lot_decimals: int
    fees: list[tuple[Decimal, Decimal]]  # 30-day volume from which on, percent
    wsname: str = ""
    fees_maker: list[tuple[Decimal, Decimal]] = []
    leverage_buy: list[int] = []
    leverage_sell: list[int] = []
    ordermin: Decimal | None = None
    costmin: Decimal | None = None
    tick_size: Decimal | None = None
    status: str = "online"


class TickerResponse(
    msgspec.Struct, frozen=True, rename={"ask": "a", "bid": "b", "last": "c", "volume": "v"}
):
    ask: tuple[Decimal, Decimal, Decimal]  # price, whole lots, quantity
    bid: tuple[Decimal, Decimal, Decimal]
    last: tuple[Decimal, Decimal]  # price, quantity
    volume: tuple[Decimal, Decimal]  # today, 24 hours


class OhlcRow(msgspec.Struct, frozen=True, array_like=True):
    open_time: int  # seconds since 1970
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    vwap: Decimal
    volume: Decimal
    trades: int


class TradeRow(msgspec.Struct, frozen=True, array_like=True):
    price: Decimal
    quantity: Decimal
    time: Decimal  # seconds since 1970
    side: Literal["b", "s"]  # of the taker
    order_type: str
    misc: str
    trade_id: int


@dataclass(frozen=True, slots=True)
class TradesPage:
    """`last` is the cursor that continues after these: the nanosecond of the newest one."""

    rows: list[TradeRow]
    last: int


class DepthRow(msgspec.Struct, frozen=True, array_like=True):
    price: Decimal
    quantity: Decimal
    time: Decimal


class DepthResponse(msgspec.Struct, frozen=True):
    asks: list[DepthRow]
    bids: list[DepthRow]
