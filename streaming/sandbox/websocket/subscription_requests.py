"""Parameters of subscribe and unsubscribe (docs.kraken.com, websocket-v2)."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from streaming.sandbox.market.tape import INTERVALS
from streaming.sandbox.model import Refused
from streaming.sandbox.websocket.books import DEPTHS
from streaming.sandbox.websocket.decoding import Params, check_known, convert

PRIVATE_CHANNELS = ("executions", "balances")
PAIR_CHANNELS = ("ticker", "trade", "ohlc", "book")
MAX_SYMBOLS = 1000  # of one request
_EXECUTIONS = (
    "snap_orders",
    "snap_trades",
    "order_status",
    "ratecounter",
    "snapshot",
    "snapshot_trades",
    "rebased",
)
_CHANNEL_FIELDS: dict[str, tuple[str, ...]] = {
    "ticker": ("symbol", "event_trigger", "snapshot"),
    "trade": ("symbol", "snapshot"),
    "ohlc": ("symbol", "interval", "snapshot"),
    "book": ("symbol", "depth", "snapshot"),
    "instrument": ("snapshot", "include_tokenized_assets"),
    "executions": _EXECUTIONS,
    "balances": ("snapshot", "rebased"),
}
_ERRORS = {
    "symbol": "Symbol field must be an array",
    "depth": "Subscription book depth must be an integer",
    "interval": "Subscription ohlc interval must be an integer",
}


class Subscription(Struct, frozen=True, rename={"trigger": "event_trigger", "rate_counter": "ratecounter"}):
    """One channel for some symbols, to begin or to end. Symbols are as written: they may not exist."""

    channel: str
    symbol: tuple[str, ...] | UnsetType = UNSET
    snapshot: bool = True
    depth: int | None = None  # of a book; None where it is not given
    interval: int = 1
    trigger: Literal["trades", "bbo"] = "trades"
    token: str = ""
    snapshot_trades: bool = (
        False  # the deprecated name of `snap_trades`, as `snapshot` is that of `snap_orders`
    )
    snap_orders: bool = True
    snap_trades: bool = False
    order_status: bool = True
    rate_counter: bool = False

    @property
    def symbols(self) -> tuple[str, ...]:
        """Each once, in the order given."""
        return () if self.symbol is UNSET else tuple(dict.fromkeys(self.symbol))


def decode_subscription(params: Params, message_type: str) -> Subscription:
    channel = params.get("channel")
    if not isinstance(channel, str) or channel not in _CHANNEL_FIELDS:
        raise Refused("Subscription name invalid")
    check_known(params, ("channel", "token", *_CHANNEL_FIELDS[channel]), message_type)
    subscription = convert(_with_defaults(channel, params), Subscription, _ERRORS)
    if channel in PAIR_CHANNELS and subscription.symbol is UNSET:
        raise Refused(_ERRORS["symbol"])
    if channel in PAIR_CHANNELS and not 1 <= len(subscription.symbol or ()) <= MAX_SYMBOLS:
        raise Refused("Symbol(s) not found")
    if subscription.depth not in (None, *DEPTHS):
        raise Refused("Subscription depth not supported")
    if subscription.interval not in INTERVALS:
        raise Refused("Subscription ohlc interval not supported")
    return subscription


def _with_defaults(channel: str, params: Params) -> Params:
    snapshot = params.get("snapshot", channel != "trade")
    defaults = {"snap_orders": snapshot, "snap_trades": params.get("snapshot_trades", False)}
    known = {name: value for name, value in params.items() if name != "token" or channel in PRIVATE_CHANNELS}
    return {
        "snapshot": snapshot,
        **known,
        **{name: known.get(name, value) for name, value in defaults.items()},
    }
