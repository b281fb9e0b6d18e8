"""The values of the sandbox exchange: listings, orders, fills and the events that its listeners get.

Two clocks: market time (candles, trades, orders, fills) runs at the speed of the replay; server time (deadlines,
tokens, rate counters, the dead man's switch) is the machine's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading.errors import Permanent
from trading.fills import Costs
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Side


class Refused(Permanent):
    """The exchange's error string for a request that it does not do, such as `EOrder:Insufficient funds`."""


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop-loss"
    STOP_LOSS_LIMIT = "stop-loss-limit"
    TAKE_PROFIT = "take-profit"
    TAKE_PROFIT_LIMIT = "take-profit-limit"
    TRAILING_STOP = "trailing-stop"
    TRAILING_STOP_LIMIT = "trailing-stop-limit"


UNTRIGGERED = frozenset({OrderType.MARKET, OrderType.LIMIT})
TRIGGERED = frozenset(OrderType) - UNTRIGGERED
LIMITED = frozenset(each for each in OrderType if each.value.endswith("limit"))
TAKE_PROFIT = frozenset({OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})
TRAILING = frozenset({OrderType.TRAILING_STOP, OrderType.TRAILING_STOP_LIMIT})


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class SelfTrade(StrEnum):
    """What ends when an order would trade with one of the same account; the arriving order says it."""

    CANCEL_NEWEST = "cancel-newest"  # the order that arrives
    CANCEL_OLDEST = "cancel-oldest"  # the order that rests: the other goes on behind it
    CANCEL_BOTH = "cancel-both"


AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})  # never rest


class OrderState(StrEnum):
    PENDING = "pending"  # accepted, waits for its trigger
    OPEN = "open"
    CLOSED = "closed"  # filled completely
    CANCELED = "canceled"
    EXPIRED = "expired"


FINAL = frozenset({OrderState.CLOSED, OrderState.CANCELED, OrderState.EXPIRED})


class PriceUnit(StrEnum):
    ABSOLUTE = "absolute"  # a price
    DISTANCE = "distance"  # quote currency from the last price, signed
    PERCENT = "percent"  # of the last price, signed


@dataclass(frozen=True, slots=True)
class PriceTerm:
    """A price as the trader gave it; the exchange makes it absolute when it accepts the order."""

    value: Decimal
    unit: PriceUnit = PriceUnit.ABSOLUTE


@dataclass(frozen=True, slots=True)
class Amendment:
    """The wanted changes of an order; None leaves it as it is. One of the two ids names the order."""

    order_id: str = ""
    client_order_id: str = ""
    quantity: Decimal | None = None  # of the whole order, what is filled included
    limit: PriceTerm | None = None
    trigger: PriceTerm | None = None
    post_only: bool | None = None


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """The order that is placed with every fill of its parent, on the other side, for the quantity filled."""

    order_type: OrderType
    limit: PriceTerm | None
    trigger: PriceTerm | None


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as the trader wants it. For trailing stops `trigger` is the distance that it trails by, positive."""

    pair: Pair
    side: Side
    order_type: OrderType
    quantity: Decimal  # base currency
    limit: PriceTerm | None = None
    trigger: PriceTerm | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at: datetime | None = None  # server time, for GTD
    post_only: bool = False
    reduce_only: bool = False
    leverage: int = 1  # 1: spot; 2 or 3: borrowed
    client_order_id: str = ""
    user_reference: int = 0
    close: CloseOrder | None = None
    fee_in_base: bool = False  # else in quote currency
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST

    @property
    def fee_asset(self) -> str:
        return self.pair.base if self.fee_in_base else self.pair.quote


@dataclass(frozen=True, slots=True)
class ExchangeOrder:
    """An order as it stands. Replaced, never changed."""

    order_id: str  # OXXXXX-XXXXX-XXXXXX
    account: str
    request: NewOrder  # quantity and prices as last amended
    limit_price: Decimal | None  # absolute
    trigger_price: Decimal | None  # absolute; moves for a trailing stop
    state: OrderState
    reason: str  # why it ended, empty otherwise
    triggered: bool
    opened_at: datetime  # market time
    closed_at: datetime | None  # market time
    entered: float  # server time, seconds since 1970: rate counters and queue ages are counted from it
    filled: Decimal = Decimal(0)  # base currency
    cost: Decimal = Decimal(0)  # quote currency
    fee: Decimal = Decimal(0)  # of the asset that the request prefers
    parent_id: str = ""  # the order whose close this is
    amend_id: str = ""  # of the newest amendment

    @property
    def remaining(self) -> Decimal:
        return self.request.quantity - self.filled

    @property
    def average_price(self) -> Decimal:
        return self.cost / self.filled if self.filled else Decimal(0)


@dataclass(frozen=True, slots=True)
class ExchangeFill:
    """One fill of one order."""

    execution_id: str  # TXXXXX-XXXXX-XXXXXX
    trade_id: int  # of the print on the tape
    order_id: str
    account: str
    pair: Pair
    side: Side
    order_type: OrderType
    price: Decimal
    quantity: Decimal
    cost: Decimal
    fee: Decimal  # of `fee_asset`
    margin: Decimal  # quote currency; 0 on spot
    maker: bool
    at: datetime  # market time
    leverage: int = 1  # of the order, also where the fill only closed
    fee_in_base: bool = False

    @property
    def fee_asset(self) -> str:
        return self.pair.base if self.fee_in_base else self.pair.quote


@dataclass(frozen=True, slots=True)
class Print:
    """One trade on the public tape, whoever traded."""

    pair: Pair
    trade_id: int  # rises by one per pair
    price: Decimal
    quantity: Decimal
    side: Side  # of the taker
    order_type: str  # "market" or "limit", of the taker
    at: datetime  # market time


@dataclass(frozen=True, slots=True)
class BookLevel:
    price: Decimal
    quantity: Decimal  # 0: the level is gone
    at: datetime  # market time of its last change


@dataclass(frozen=True, slots=True)
class BookView:
    """Best first."""

    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """Best bid and ask from some time on."""

    at: datetime  # market time
    bid: Decimal
    ask: Decimal


@dataclass(frozen=True, slots=True)
class Bar:
    """A candle of the public tape; the last one of a list is not committed yet."""

    open_time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    vwap: Decimal
    volume: Decimal
    trades: int


@dataclass(frozen=True, slots=True)
class DaySummary:
    """The last 24 hours of market time, and the UTC day so far where a field says `today`."""

    bid: BookLevel | None
    ask: BookLevel | None
    last: Decimal | None
    last_quantity: Decimal
    open_today: Decimal
    open: Decimal  # 24 hours ago
    high: Decimal
    high_today: Decimal
    low: Decimal
    low_today: Decimal
    volume: Decimal
    volume_today: Decimal
    vwap: Decimal
    vwap_today: Decimal
    trades: int
    trades_today: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A pair on the sandbox: its rules and what its market maker quotes."""

    instrument: Instrument
    costs: Costs  # the fill model: best bid and ask lie half_spread + slippage from the last price
    level_value: Decimal  # quote currency on offer at each level
    levels: int  # per side
    seed: int = 0  # of the quantities that it quotes


@dataclass(frozen=True, slots=True)
class TradesPrinted:
    """Trades of one market event, in order; all of the same pair."""

    pair: Pair
    prints: tuple[Print, ...]


@dataclass(frozen=True, slots=True)
class BookChanged:
    """Levels that are different after one market event, at any depth; `quantity` 0 where a level is gone."""

    pair: Pair
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]


class ExecType(StrEnum):
    """The kind of a change of an order, in the exchange's words."""

    PENDING_NEW = "pending_new"
    NEW = "new"
    TRADE = "trade"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    AMENDED = "amended"
    RESTATED = "restated"  # amended by the engine itself
    STATUS = "status"  # triggered, or its trailing trigger moved


@dataclass(frozen=True, slots=True)
class OrderChanged:
    order: ExchangeOrder
    exec_type: ExecType
    fill: ExchangeFill | None  # for TRADE


@dataclass(frozen=True, slots=True)
class BalanceChanged:
    account: str
    asset: str
    amount: Decimal  # of the change, after the fee
    balance: Decimal  # after it
    kind: str  # trade, margin, rollover, deposit
    reference: str  # execution or order id
    at: datetime  # market time
    fee: Decimal = Decimal(0)  # that is in `amount`
    entry_id: str = ""  # LXXXXX-XXXXX-XXXXXX


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """The exchange as a whole (`pair` None) or one pair."""

    pair: Pair | None
    status: PairStatus


ExchangeEvent = TradesPrinted | BookChanged | OrderChanged | BalanceChanged | StatusChanged
Prices = Mapping[Pair, Decimal]
