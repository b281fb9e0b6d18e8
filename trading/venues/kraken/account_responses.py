"""Responses of Kraken's private calls. Fields without a use here are left out; unknown ones are ignored."""

from decimal import Decimal
from typing import Literal

import msgspec

OrderState = Literal["pending", "open", "closed", "canceled", "expired"]


class TradeBalanceResponse(
    msgspec.Struct,
    frozen=True,
    rename={
        "equivalent": "eb", "trade": "tb", "margin": "m", "unrealised": "n", "cost": "c", "valuation": "v",
        "equity": "e", "free": "mf", "level": "ml",
    },
):  # fmt: skip
    """Amounts in the asset that was asked for."""

    equivalent: Decimal  # of all currencies
    trade: Decimal  # of those that count as collateral
    margin: Decimal  # bound by open positions
    unrealised: Decimal
    cost: Decimal  # of open positions
    valuation: Decimal  # of open positions
    equity: Decimal  # trade balance and unrealised profit
    free: Decimal  # equity less margin
    level: Decimal | None = None  # equity in percent of margin, only while a position is open


class ExtendedBalance(msgspec.Struct, frozen=True):
    balance: Decimal
    hold_trade: Decimal = Decimal(0)  # bound by open orders

    @property
    def available(self) -> Decimal:
        return self.balance - self.hold_trade


class ApiKeyInfo(msgspec.Struct, frozen=True):
    """What the key that signed the request may do; rights in Kraken's words, such as `query-funds`."""

    api_key_name: str
    permissions: list[str]
    nonce_window: str = "0"  # how far a nonce may lag behind the highest, microseconds
    valid_until: str = "0"  # seconds since 1970; 0: for ever
    ip_allowlist: list[str] = []


class FeeTier(msgspec.Struct, frozen=True):
    """The account's present fee for a pair, in percent."""

    fee: Decimal
    nextfee: Decimal | None = None
    nextvolume: Decimal | None = None
    tiervolume: Decimal | None = None


class TradeVolumeResponse(msgspec.Struct, frozen=True):
    currency: str
    volume: Decimal  # of 30 days, in `currency`
    fees: dict[str, FeeTier] | None = None  # of a taker, by the pair's name in results
    fees_maker: dict[str, FeeTier] | None = None  # pairs without a maker's fee of their own are left out


class LedgerEntry(msgspec.Struct, frozen=True):
    """One change of a balance: by `amount` less `fee`."""

    refid: str
    time: Decimal
    type: str  # trade, deposit, withdrawal, staking, transfer, adjustment ...
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal  # after it
    subtype: str = ""


class LedgersResponse(msgspec.Struct, frozen=True):
    ledger: dict[str, LedgerEntry]
    count: int | None = None


class OrderAmend(msgspec.Struct, frozen=True):
    """One state of an order: as it was placed, or after an amendment by its owner or by the engine."""

    amend_id: str
    amend_type: str  # original, user, restated
    order_qty: Decimal
    timestamp: int  # nanoseconds since 1970
    remaining_qty: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    reason: str = ""
    post_only: bool = False


class OrderAmendsResponse(msgspec.Struct, frozen=True):
    amends: list[OrderAmend]
    count: int | None = None


class OrderDescription(msgspec.Struct, frozen=True):
    pair: str
    type: Literal["buy", "sell"]
    ordertype: str
    order: str = ""
    # The limit, or the trigger of types that have one; of some it is relative to the last price.
    price: str = ""


class OrderInfo(msgspec.Struct, frozen=True):
    status: OrderState
    opentm: Decimal
    descr: OrderDescription
    vol: Decimal
    vol_exec: Decimal
    cost: Decimal
    fee: Decimal
    price: Decimal  # average
    closetm: Decimal | None = None
    refid: str | None = None  # the order whose fill placed this one
    stopprice: Decimal | None = None
    cl_ord_id: str | None = None
    reason: str | None = None
    oflags: str = ""
    trades: list[str] = []


class OpenOrdersResponse(msgspec.Struct, frozen=True):
    open: dict[str, OrderInfo]


class ClosedOrdersResponse(msgspec.Struct, frozen=True):
    closed: dict[str, OrderInfo]
    count: int | None = None


class TradeInfo(msgspec.Struct, frozen=True):
    ordertxid: str
    pair: str
    time: Decimal
    type: Literal["buy", "sell"]
    price: Decimal
    cost: Decimal  # quote currency
    fee: Decimal  # quote currency
    vol: Decimal
    margin: Decimal = Decimal(0)


class TradesHistoryResponse(msgspec.Struct, frozen=True):
    trades: dict[str, TradeInfo]
    count: int | None = None


class AddedOrderDescription(msgspec.Struct, frozen=True):
    order: str
    close: str = ""


class AddOrderResponse(msgspec.Struct, frozen=True):
    descr: AddedOrderDescription
    txid: list[str] = []  # none when the order was only validated


class AmendOrderResponse(msgspec.Struct, frozen=True):
    amend_id: str


class EditOrderResponse(msgspec.Struct, frozen=True):
    txid: str
    originaltxid: str | None = None


class CancelResponse(msgspec.Struct, frozen=True):
    count: int
    pending: bool = False


class CancelAfterResponse(msgspec.Struct, frozen=True):
    """The dead man's switch; `trigger` is "0" when it is off."""

    current: str = msgspec.field(name="currentTime")
    trigger: str = msgspec.field(name="triggerTime")


class WebSocketsToken(msgspec.Struct, frozen=True):
    token: str
    expires: int  # seconds; not while a private subscription lives

    def __repr__(self) -> str:
        return f"WebSocketsToken(expires={self.expires})"
