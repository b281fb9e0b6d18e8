"""Kraken's REST interface with our names for pairs and assets: the market, the account and its orders."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

import msgspec

from trading.errors import InvalidValue
from trading.market import Instrument, Pair
from trading.orders import Purpose
from trading.venues.kraken.account_responses import (
    AddOrderResponse,
    AmendOrderResponse,
    ApiKeyInfo,
    CancelAfterResponse,
    CancelResponse,
    ClosedOrdersResponse,
    EditOrderResponse,
    ExtendedBalance,
    LedgerEntry,
    LedgersResponse,
    OpenOrdersResponse,
    OrderAmend,
    OrderAmendsResponse,
    OrderInfo,
    TradeBalanceResponse,
    TradeInfo,
    TradesHistoryResponse,
    TradeVolumeResponse,
    WebSocketsToken,
)
from trading.venues.kraken.instruments import from_kraken_asset, to_kraken_asset, with_tier
from trading.venues.kraken.key_budget import KeyBudget
from trading.venues.kraken.market_client import KrakenMarketClient
from trading.venues.kraken.order_request import Fields, OrderRequest, given_fields, order_reference
from trading.venues.kraken.rate_limits import HISTORY_COST, OrderAction, order_cost

MAX_ORDERS = 50  # of one QueryOrders call
MAX_FILLS = 20  # of one QueryTrades call
MAX_ENTRIES = 20  # of one QueryLedgers call
Response = TypeVar("Response")


class KrakenClient(KrakenMarketClient):
    """The market client that also reads the account and places orders, with a key.

    Reads are repeated a few times; they may raise NotAuthorised besides. What changes something is sent once and may
    raise OutcomeUnknown too.
    """

    def balance(self) -> dict[str, Decimal]:
        """Read balances by our asset names. What is staked or earns interest keeps its suffix, such as `BTC.F`."""
        balances: dict[str, Decimal] = {}
        for name, amount in self._calls.read_private("Balance", dict[str, Decimal]).items():
            asset = self._asset(name)
            balances[asset] = balances.get(asset, Decimal(0)) + amount
        return balances

    def extended_balance(self) -> dict[str, ExtendedBalance]:
        """Read balances with what open orders bind, by our asset names."""
        found = self._calls.read_private("BalanceEx", dict[str, ExtendedBalance])
        return {self._asset(name): each for name, each in found.items()}

    def api_key_info(self) -> ApiKeyInfo:
        """Read what this key may do; it needs no right for that."""
        return self._calls.read_private("GetApiKeyInfo", ApiKeyInfo)

    def trade_volume(self, pairs: Sequence[Pair]) -> TradeVolumeResponse:
        """Read the volume of 30 days and the fees that the account pays for these pairs now."""
        listings = self.listings()
        fields = given_fields({"pair": ",".join(listings.listing(pair).altname for pair in pairs)})
        return self._calls.read_private("TradeVolume", TradeVolumeResponse, fields)

    def instruments(self, pairs: Sequence[Pair]) -> dict[Pair, Instrument]:
        """Read how these pairs are traded, with the fees of the account's own tier. NotStored for an unknown pair."""
        listings, volume = self.listings(), self.trade_volume(pairs)
        return {pair: with_tier(listings, pair, volume) for pair in pairs}

    def ledgers(
        self,
        kind: str = "",
        assets: Sequence[str] = (),
        start: int | None = None,
        end: int | None = None,
        offset: int = 0,
    ) -> LedgersResponse:
        """Read at most 50 changes of balances after `start` and until `end` (seconds), newest first; all kinds without.

        `kind`: trade, deposit, withdrawal, transfer, staking ... Entries have our asset names.
        """
        named = ",".join(map(to_kraken_asset, assets))
        fields = {"type": kind, "asset": named, "start": start, "end": end, "ofs": offset or None}
        found = self._calls.read_private("Ledgers", LedgersResponse, given_fields(fields), HISTORY_COST)
        return LedgersResponse(self._with_our_assets(found.ledger), found.count)

    def query_ledgers(self, entry_ids: Sequence[str]) -> dict[str, LedgerEntry]:
        fields = {"id": _ids(entry_ids, MAX_ENTRIES)}
        return self._with_our_assets(
            self._calls.read_private("QueryLedgers", dict[str, LedgerEntry], fields, HISTORY_COST)
        )

    def order_amends(self, order_id: str) -> list[OrderAmend]:
        """Read what became of an order, oldest first: as placed, amended by us, restated by the engine."""
        return self._calls.read_private("OrderAmends", OrderAmendsResponse, {"order_id": order_id}).amends

    def order_budget(self, pair: Pair, cost: float, purpose: Purpose) -> AbstractContextManager[int]:
        """Charge the engine's counter of the pair before the block, which sends an order on another way."""
        return self.budget.spending(self.listings().listing(pair).altname, cost, purpose)

    def trade_balance(self, asset: str = "USD") -> TradeBalanceResponse:
        return self._calls.read_private(
            "TradeBalance", TradeBalanceResponse, {"asset": to_kraken_asset(asset)}
        )

    def open_orders(
        self, client_order_id: str = "", purpose: Purpose = Purpose.LOOK_UP
    ) -> dict[str, OrderInfo]:
        fields = given_fields({"trades": "true", "cl_ord_id": client_order_id})
        return self._calls.read_private("OpenOrders", OpenOrdersResponse, fields, purpose=purpose).open

    def closed_orders(
        self,
        client_order_id: str = "",
        start: int | None = None,
        end: int | None = None,
        offset: int = 0,
        purpose: Purpose = Purpose.LOOK_UP,
    ) -> ClosedOrdersResponse:
        """Read at most 50 orders opened or closed after `start` and until `end` (seconds), newest first."""
        fields = {
            "trades": "true", "consolidate_taker": "false", "cl_ord_id": client_order_id, "start": start,
            "end": end, "ofs": offset or None,
        }  # fmt: skip
        return self._calls.read_private(
            "ClosedOrders", ClosedOrdersResponse, given_fields(fields), HISTORY_COST, purpose
        )

    def query_orders(
        self, order_ids: Sequence[str], purpose: Purpose = Purpose.LOOK_UP
    ) -> dict[str, OrderInfo]:
        """Read orders with the ids of their fills; not consolidated: the same id could stand for more fills later."""
        fields = {"trades": "true", "consolidate_taker": "false", "txid": _ids(order_ids, MAX_ORDERS)}
        return self._calls.read_private("QueryOrders", dict[str, OrderInfo], fields, purpose=purpose)

    def trades_history(
        self, start: int | None = None, end: int | None = None, offset: int = 0
    ) -> TradesHistoryResponse:
        fields = {"consolidate_taker": "false", "start": start, "end": end, "ofs": offset or None}
        return self._calls.read_private(
            "TradesHistory", TradesHistoryResponse, given_fields(fields), HISTORY_COST
        )

    def query_trades(
        self, fill_ids: Sequence[str], purpose: Purpose = Purpose.LOOK_UP
    ) -> dict[str, TradeInfo]:
        fields = {"txid": _ids(fill_ids, MAX_FILLS)}
        return self._calls.read_private("QueryTrades", dict[str, TradeInfo], fields, HISTORY_COST, purpose)

    def websockets_token(self) -> WebSocketsToken:
        """Request a token, to be used within 15 minutes. Exits go through it: it may spend their share."""
        return self._calls.read_private("GetWebSocketsToken", WebSocketsToken, purpose=Purpose.EXIT)

    @property
    def budget(self) -> KeyBudget:
        """The rate counters of the key, which orders on every way to Kraken spend together."""
        return self._calls.budget

    # --- orders ------------------------------------------------------------------------------------------------

    def add_order(self, request: OrderRequest) -> AddOrderResponse:
        """Place or, with `validate`, only check an order.

        NotStored for a pair that Kraken does not trade; VenueRefused with its words for an order it refuses.
        """
        name = self.listings().listing(request.pair).altname
        fields = request.fields(name)
        if request.validate:
            return self._calls.read_private("AddOrder", AddOrderResponse, fields, cost=0.0)
        cost = order_cost(OrderAction.ADD, 0)
        return self._calls.change("AddOrder", AddOrderResponse, fields, request.purpose, name, cost)

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
        purpose: Purpose = Purpose.ENTRY,
    ) -> AmendOrderResponse:
        """Amend in place: ids stay. `age` of the order in seconds, where it is known: young ones cost more."""
        fields = order_reference(order_id, client_order_id) | given_fields(
            {
                "order_qty": quantity, "limit_price": limit, "trigger_price": trigger,
                "post_only": post_only, "deadline": deadline,
            }
        )  # fmt: skip
        return self._order_call(
            "AmendOrder", AmendOrderResponse, pair, fields, order_cost(OrderAction.AMEND, age), purpose
        )

    def edit_order(
        self,
        pair: Pair,
        order_id: str,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        price2: Decimal | None = None,
        deadline: datetime | None = None,
        age: float = 0.0,
        purpose: Purpose = Purpose.ENTRY,
    ) -> EditOrderResponse:
        """Cancel the order and place another one, with another id."""
        fields = given_fields(
            {
                "txid": order_id, "pair": self.listings().listing(pair).altname, "volume": quantity,
                "price": price, "price2": price2, "deadline": deadline,
            }
        )  # fmt: skip
        return self._order_call(
            "EditOrder", EditOrderResponse, pair, fields, order_cost(OrderAction.EDIT, age), purpose
        )

    def cancel_order(
        self,
        pair: Pair,
        order_id: str = "",
        client_order_id: str = "",
        age: float = 0.0,
        purpose: Purpose = Purpose.ENTRY,
    ) -> CancelResponse:
        fields = order_reference(order_id, client_order_id)
        return self._order_call(
            "CancelOrder", CancelResponse, pair, fields, order_cost(OrderAction.CANCEL, age), purpose
        )

    def cancel_all(self) -> int:
        """Cancel all orders of the account, whoever placed them; return how many."""
        return self._calls.change("CancelAll", CancelResponse, {}, Purpose.EXIT).count

    def cancel_all_orders_after(self, seconds: int) -> CancelAfterResponse:
        """Set the dead man's switch of the whole account; 0 turns it off. Calling it again only moves its time."""
        if not 0 <= seconds < 86400:
            raise InvalidValue(f"{seconds} s is not a time for the dead man's switch: 0 to 86399")
        fields = {"timeout": str(seconds)}
        return self._calls.change("CancelAllOrdersAfter", CancelAfterResponse, fields, Purpose.PROTECTION)

    def _order_call(
        self, method: str, kind: type[Response], pair: Pair, fields: Fields, cost: float, purpose: Purpose
    ) -> Response:
        return self._calls.change(method, kind, fields, purpose, self.listings().listing(pair).altname, cost)

    def _with_our_assets(self, entries: Mapping[str, LedgerEntry]) -> dict[str, LedgerEntry]:
        return {
            key: msgspec.structs.replace(each, asset=self._asset(each.asset)) for key, each in entries.items()
        }

    def _asset(self, name: str) -> str:
        base, dot, kind = name.partition(".")
        known = self.assets().get(base)
        return from_kraken_asset(known.altname if known else base) + dot + kind


def _ids(ids: Sequence[str], maximum: int) -> str:
    if not 0 < len(ids) <= maximum:
        raise InvalidValue(f"{len(ids)} ids in one call: Kraken takes 1 to {maximum}")
    return ",".join(ids)
