"""Kraken's REST interface, spoken in our words: pairs and assets have our names, numbers are exact, times are UTC."""

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec

from trading.errors import InvalidMessage, InvalidValue
from trading.market import Pair, Timeframe
from trading.venues.kraken.account_responses import (
    Added,
    Amended,
    Canceled,
    ClosedOrdersAnswer,
    Edited,
    OpenOrdersAnswer,
    OrderInfo,
    Switch,
    Token,
    TradeBalance,
    TradeInfo,
    TradesHistoryAnswer,
)
from trading.venues.kraken.authentication import Credentials
from trading.venues.kraken.decoding import answer
from trading.venues.kraken.instruments import Listings, asset_name, kraken_asset
from trading.venues.kraken.market_responses import (
    Asset,
    AssetPair,
    DepthAnswer,
    OhlcRow,
    ServerTime,
    SystemStatusAnswer,
    TickerAnswer,
    TradeRow,
)
from trading.venues.kraken.order_request import Fields, OrderRequest, amount, checked_id, present, rfc3339
from trading.venues.kraken.rate_limits import HISTORY, PUBLIC, Allowance, Limit, OrderAction, Tier, order_cost
from trading.venues.kraken.rest_calls import URL, Calls

MOST_TRADES = 1000  # of one public Trades answer
MOST_ORDERS = 50  # of one QueryOrders call
MOST_FILLS = 20  # of one QueryTrades call
Kind = TypeVar("Kind")
STALE = timedelta(minutes=10)  # after which the listing is asked for again


@dataclass(frozen=True, slots=True)
class TradesPage:
    """`last` is the cursor that continues after these: the nanosecond of the newest one."""

    rows: list[TradeRow]
    last: int


class KrakenClient:
    """Safe to use from several threads; close it, or use it in `with`.

    Reads are repeated a few times; they raise VenueUnreachable, RateLimited, NotAuthorised, VenueRefused or
    InvalidMessage. What changes something is sent once and may raise OutcomeUnknown besides.
    """

    def __init__(
        self,
        folder: Path,
        credentials: Credentials | None = None,
        base_url: str = URL,
        allowance: Allowance = Tier.STARTER.allowance,
        public: Limit = PUBLIC,
        total: float = 20.0,
        patience: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`folder` holds nonces and rate counters: all processes that use this key or address have to share it.

        `total` bounds one request, `patience` the wait for the rate budget, both in seconds.
        """
        self.folder = folder
        self._calls = Calls(folder, base_url, credentials, allowance, public, total, patience, sleep)
        self._close = weakref.finalize(self, self._calls.close)  # also of one that is only dropped
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._listings: Listings | None = None
        self._listed_at = 0.0
        self._assets: Mapping[str, Asset] | None = None

    def __enter__(self) -> "KrakenClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._close()

    # --- the market --------------------------------------------------------------------------------------------

    def server_time(self) -> int:
        """Whole seconds since 1970, cut."""
        return self._calls.public("Time", ServerTime).unixtime

    def system_status(self) -> SystemStatusAnswer:
        return self._calls.public("SystemStatus", SystemStatusAnswer)

    def assets(self) -> Mapping[str, Asset]:
        """By Kraken's name; asked once."""
        if self._assets is None:
            self._assets = self._calls.public("Assets", dict[str, Asset])
        return self._assets

    def listings(self) -> Listings:
        """What is traded, at most ten minutes old."""
        with self._lock:
            now = self._monotonic()
            if self._listings is None or now - self._listed_at > STALE.total_seconds():
                self._listings = Listings(self._calls.public("AssetPairs", dict[str, AssetPair]))
                self._listed_at = now
            return self._listings

    def ticker(self, pair: Pair) -> TickerAnswer:
        return self._of_pair("Ticker", pair, TickerAnswer, {})

    def ohlc(self, pair: Pair, timeframe: Timeframe, since: int | None = None) -> list[OhlcRow]:
        """The newest 720 rows at most, whatever `since` (seconds); the last one is not over yet."""
        minutes = timeframe.duration // timedelta(minutes=1)
        return self._of_pair("OHLC", pair, list[OhlcRow], {"interval": minutes, "since": since})

    def trades(self, pair: Pair, since: int | None, count: int = MOST_TRADES) -> TradesPage:
        """Trades later than `since` (nanoseconds since 1970), oldest first; None: the newest ones."""
        fields = {"since": since, "count": None if count == MOST_TRADES else count}
        found = self._result("Trades", pair, fields)
        rows = answer("Trades", found["pair"], list[TradeRow])
        return TradesPage(rows, int(answer("Trades", found["last"], Decimal)))

    def depth(self, pair: Pair, count: int = 100) -> DepthAnswer:
        return self._of_pair("Depth", pair, DepthAnswer, {"count": count})

    # --- the account -------------------------------------------------------------------------------------------

    def balance(self) -> dict[str, Decimal]:
        """By our asset names. What is staked or earns interest keeps its suffix, such as `BTC.F`."""
        owned: dict[str, Decimal] = {}
        for name, held in self._calls.read("Balance", dict[str, Decimal]).items():
            owned[self._asset(name)] = owned.get(self._asset(name), Decimal(0)) + held
        return owned

    def trade_balance(self, asset: str = "USD") -> TradeBalance:
        return self._calls.read("TradeBalance", TradeBalance, {"asset": kraken_asset(asset)})

    def open_orders(self, client_order_id: str = "") -> dict[str, OrderInfo]:
        fields = present({"trades": "true", "cl_ord_id": client_order_id})
        return self._calls.read("OpenOrders", OpenOrdersAnswer, fields).open

    def closed_orders(
        self,
        client_order_id: str = "",
        start: int | None = None,
        end: int | None = None,
        offset: int = 0,
    ) -> ClosedOrdersAnswer:
        """At most 50, newest first, of orders opened or closed after `start` and until `end` (seconds)."""
        fields = {
            "trades": "true", "consolidate_taker": "false", "cl_ord_id": client_order_id, "start": start,
            "end": end, "ofs": offset or None,
        }  # fmt: skip
        return self._calls.read("ClosedOrders", ClosedOrdersAnswer, present(fields), HISTORY)

    def query_orders(self, order_ids: Sequence[str]) -> dict[str, OrderInfo]:
        """With the ids of their fills; every fill is one, as otherwise the same id could stand for more later."""
        fields = {"trades": "true", "consolidate_taker": "false", "txid": _ids(order_ids, MOST_ORDERS)}
        return self._calls.read("QueryOrders", dict[str, OrderInfo], fields)

    def trades_history(
        self, start: int | None = None, end: int | None = None, offset: int = 0
    ) -> TradesHistoryAnswer:
        fields = {"consolidate_taker": "false", "start": start, "end": end, "ofs": offset or None}
        return self._calls.read("TradesHistory", TradesHistoryAnswer, present(fields), HISTORY)

    def query_trades(self, fill_ids: Sequence[str]) -> dict[str, TradeInfo]:
        return self._calls.read(
            "QueryTrades", dict[str, TradeInfo], {"txid": _ids(fill_ids, MOST_FILLS)}, HISTORY
        )

    def websockets_token(self) -> Token:
        """To be used within 15 minutes."""
        return self._calls.read("GetWebSocketsToken", Token)

    # --- orders ------------------------------------------------------------------------------------------------

    def add_order(self, request: OrderRequest) -> Added:
        """NotStored for a pair that Kraken does not trade; VenueRefused with its words for an order it refuses."""
        name = self.listings().listing(request.pair).altname
        fields = request.fields(name)
        if request.validate:
            return self._calls.read("AddOrder", Added, fields, cost=0.0)
        return self._calls.change("AddOrder", Added, fields, name, order_cost(OrderAction.ADD, 0))

    def amend_order(
        self,
        pair: Pair,
        order_id: str = "",
        client_order_id: str = "",
        quantity: Decimal | None = None,
        limit: Decimal | None = None,
        trigger: Decimal | None = None,
        post_only: bool = False,
        deadline: datetime | None = None,
        age: float = 0.0,
    ) -> Amended:
        """In place: ids stay. `age` of the order in seconds, where it is known: young ones cost more."""
        fields = _reference(order_id, client_order_id) | present(
            {
                "order_qty": amount(quantity), "limit_price": amount(limit), "trigger_price": amount(trigger),
                "post_only": "true" if post_only else "", "deadline": deadline and rfc3339(deadline),
            }
        )  # fmt: skip
        return self._order_call("AmendOrder", Amended, pair, fields, order_cost(OrderAction.AMEND, age))

    def edit_order(
        self,
        pair: Pair,
        order_id: str,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        price2: Decimal | None = None,
        deadline: datetime | None = None,
        age: float = 0.0,
    ) -> Edited:
        """Cancels the order and places another one, with another id."""
        fields = present(
            {
                "txid": order_id, "pair": self.listings().listing(pair).altname, "volume": amount(quantity),
                "price": amount(price), "price2": amount(price2), "deadline": deadline and rfc3339(deadline),
            }
        )  # fmt: skip
        return self._order_call("EditOrder", Edited, pair, fields, order_cost(OrderAction.EDIT, age))

    def cancel_order(
        self, pair: Pair, order_id: str = "", client_order_id: str = "", age: float = 0.0
    ) -> Canceled:
        fields = _reference(order_id, client_order_id)
        return self._order_call("CancelOrder", Canceled, pair, fields, order_cost(OrderAction.CANCEL, age))

    def cancel_all(self) -> int:
        """How many orders of the account were canceled, whoever placed them."""
        return self._calls.change("CancelAll", Canceled, {}).count

    def cancel_all_orders_after(self, seconds: int) -> Switch:
        """The dead man's switch of the whole account; 0 turns it off. Calling it again only moves its time."""
        if not 0 <= seconds < 86400:
            raise InvalidValue(f"{seconds} s is not a time for the dead man's switch: 0 to 86399")
        return self._calls.change("CancelAllOrdersAfter", Switch, {"timeout": str(seconds)})

    def _order_call(self, method: str, kind: type[Kind], pair: Pair, fields: Fields, cost: float) -> Kind:
        return self._calls.change(method, kind, fields, self.listings().listing(pair).altname, cost)

    # --- names -------------------------------------------------------------------------------------------------

    def _of_pair(self, method: str, pair: Pair, kind: type[Kind], fields: Mapping[str, object]) -> Kind:
        return answer(method, self._result(method, pair, fields)["pair"], kind)

    def _result(self, method: str, pair: Pair, fields: Mapping[str, object]) -> dict[str, msgspec.Raw]:
        """What was answered for the pair, as `pair`, and its cursor, as `last`."""
        listings = self.listings()
        asked = {"pair": listings.listing(pair).altname} | present(fields)
        found = self._calls.public(method, dict[str, msgspec.Raw], asked)
        cursor = found.pop("last", msgspec.Raw(b"0"))
        if len(found) != 1 or not set(found) <= listings.names(pair):
            told = ", ".join(found)[:100] or "nothing"
            raise InvalidMessage(f"Kraken {method}", f"asked for {pair}, the answer is about {told}")
        return {"pair": found.popitem()[1], "last": cursor}

    def _asset(self, name: str) -> str:
        base, dot, kind = name.partition(".")
        known = self.assets().get(base)
        return asset_name(known.altname if known else base) + dot + kind


def _reference(order_id: str, client_order_id: str) -> Fields:
    if bool(order_id) == bool(client_order_id):
        raise InvalidValue("name the order by its id or by its client order id, one of them")
    return {"txid": order_id} if order_id else {"cl_ord_id": checked_id(client_order_id)}


def _ids(ids: Sequence[str], most: int) -> str:
    if not 0 < len(ids) <= most:
        raise InvalidValue(f"{len(ids)} ids in one call: Kraken takes 1 to {most}")
    return ",".join(ids)
