"""Queries of the exchange; nothing here changes anything."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from streaming.sandbox.exchange import history
from streaming.sandbox.exchange.amends import OrderAmend
from streaming.sandbox.exchange.engine import Engine, Listener
from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.history import FillKind, SearchTime
from streaming.sandbox.exchange.ledger import MarginSummary, trade_balance
from streaming.sandbox.exchange.store import ExchangeStore
from streaming.sandbox.market import MarketClock, TickSource, TradeTape
from streaming.sandbox.model import (
    BalanceChanged,
    BookView,
    DaySummary,
    ExchangeFill,
    ExchangeOrder,
    Listing,
    Refused,
    Spread,
)
from trading.errors import NotStored
from trading.margin.terms import MarginPosition, MarginTerms
from trading.market import Pair, PairStatus
from trading.orders import Side
from trading.portfolio.exact import exactly

UNKNOWN_ORDER = "EOrder:Unknown order"
MICROSECOND = timedelta(microseconds=1)


class ExchangeQueries:
    def __init__(
        self,
        listings: Mapping[Pair, Listing],
        terms: MarginTerms,
        quote: str,
        store: ExchangeStore,
        clock: MarketClock,
        server: Callable[[], float],
        preload: TickSource | None = None,
    ) -> None:
        """Continue where the store stopped. `preload` gives the tape its past; `server` is seconds since 1970."""
        self.listings = dict(listings)
        self._quote = quote
        self._store = store
        self._engine = Engine(
            listings=self.listings,
            terms=terms,
            quote=quote,
            store=store,
            clock=clock,
            server=server,
            source=preload,
        )

    # --- the market --------------------------------------------------------------------------------------------

    @property
    def system_status(self) -> PairStatus:
        return self._state.system_status

    def status(self, pair: Pair) -> PairStatus:
        """Return what holds for the pair: the whole exchange's status where that is not `online`."""
        self._state.market(pair)
        return self._state.status(pair)

    def market_now(self) -> datetime:
        """Return market time: the clock's, and never before what has already happened."""
        return self._engine.now()

    @property
    def resume_from(self) -> datetime | None:
        """Time from which a source has to be read (`ticks(after)`) to go on; None before the first tick.

        The last ticks may come once more: they are recognised.
        """
        times = [market.at for market in self._state.markets.values() if market.at is not None]
        return max(times) - MICROSECOND if times else None

    def book(self, pair: Pair, depth: int) -> BookView:
        """Return the market maker's quotes and the client orders together."""
        return self._state.market(pair).book(depth)

    def spreads(self, pair: Pair) -> tuple[Spread, ...]:
        """Return the last changes of the best prices since the exchange started, oldest first."""
        return tuple(self._state.market(pair).spreads)

    def tape(self, pair: Pair) -> TradeTape:
        return self._state.market(pair).tape

    def summary(self, pair: Pair) -> DaySummary:
        market = self._state.market(pair)
        bid, ask = (market.display(side).best for side in Side)
        return market.tape.summary(self.market_now(), bid, ask)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call it after each commit: prints first, then orders and balances as they happened, then books."""
        return self._engine.listen(listener)

    # --- accounts ----------------------------------------------------------------------------------------------

    def accounts(self) -> list[str]:
        return list(self._state.accounts)

    def balances(self, account: str) -> dict[str, Decimal]:
        return dict(self._state.account(account).state.balances)

    def reserved(self, account: str) -> dict[str, Decimal]:
        """Return what open spot orders have reserved, fees included."""
        return {asset: amount for asset, amount in self._state.account(account).reserved.items() if amount}

    def positions(self, account: str) -> tuple[MarginPosition, ...]:
        """Return positions, oldest first."""
        return self._state.account(account).state.positions

    def trade_balance(self, account: str, asset: str) -> MarginSummary:
        """Compute a margin summary. Refused for an asset not traded here, and while a price is missing."""
        if asset not in {self._quote, *(each for pair in self.listings for each in (pair.base, pair.quote))}:
            raise Refused("EQuery:Unknown asset")
        try:
            with exactly():
                return trade_balance(self._state.account(account).state, asset, self._state.prices)
        except NotStored:
            raise Refused("EService:Unavailable") from None

    # --- orders ------------------------------------------------------------------------------------------------

    def open_orders(self, account: str) -> list[ExchangeOrder]:
        """Return orders in the order of acceptance, those that wait for a trigger included."""
        return [working.order for working in self._state.account(account).orders.values()]

    def orders(self, account: str, ids: Sequence[str]) -> list[ExchangeOrder]:
        """Return orders in the order of the ids, open or not. Refused when one is none of the account's."""
        return [self._order(account, each) for each in ids]

    def closed_orders(
        self,
        account: str,
        start: datetime | None = None,
        end: datetime | None = None,
        offset: int = 0,
        limit: int = 50,
        search_time: SearchTime = SearchTime.CLOSE,
        user_reference: int | None = None,
        client_order_id: str = "",
    ) -> tuple[list[ExchangeOrder], int]:
        """Return those with start < time <= end (market time), last ended first, and how many there are."""
        self._state.account(account)
        return history.closed_orders(
            self._store,
            account=account,
            start=start,
            end=end,
            offset=offset,
            limit=limit,
            search_time=search_time,
            user_reference=user_reference,
            client_order_id=client_order_id,
        )

    def order_by_client_id(self, account: str, client_order_id: str) -> ExchangeOrder | None:
        """Return the open one, else the newest with that id; None when there never was one."""
        order_id = self._state.account(account).client_ids.get(client_order_id)
        if order_id is not None:
            return self._state.working[order_id].order
        return self._store.newest_by_client_id(account, client_order_id)

    def fills(
        self,
        account: str,
        start: datetime | None = None,
        end: datetime | None = None,
        offset: int = 0,
        limit: int = 50,
        kind: FillKind = FillKind.ALL,
    ) -> tuple[list[ExchangeFill], int]:
        """Return fills in start < at <= end (market time), newest first, and how many there are."""
        self._state.account(account)
        return history.fills(
            self._store, account=account, start=start, end=end, offset=offset, limit=limit, kind=kind
        )

    def fills_of_order(self, order_id: str) -> list[ExchangeFill]:
        """Return fills, oldest first."""
        return history.fills_of_order(self._store, order_id)

    def fills_by_id(self, account: str, ids: Sequence[str]) -> list[ExchangeFill]:
        """Return fills in the order of the ids; those that are none of the account's are left out."""
        return history.fills_by_id(self._store, account, ids)

    def entries(
        self,
        account: str,
        start: datetime | None = None,
        end: datetime | None = None,
        offset: int = 0,
        limit: int = 50,
        assets: Sequence[str] = (),
        kind: str = "",
    ) -> tuple[list[BalanceChanged], int]:
        """Return changes of balances in start < at <= end (market time), newest first, and how many there are."""
        return history.entries(
            self._store,
            account=account,
            start=start,
            end=end,
            offset=offset,
            limit=limit,
            assets=assets,
            kind=kind,
        )

    def entries_by_id(self, account: str, ids: Sequence[str]) -> list[BalanceChanged]:
        """Return entries in the order of the ids; those that are none of the account's are left out."""
        return history.entries_by_id(self._store, account, ids)

    def amends(self, account: str, order_id: str) -> list[OrderAmend]:
        """Return the terms of an order since it was placed, oldest first. Refused when it is not the account's."""
        order = self._order(account, order_id)
        return history.amends_of_order(self._store, account, order_id) or [OrderAmend.original(order)]

    def fill_costs(self, account: str, after: datetime) -> dict[Pair, Decimal]:
        """Return what the account's fills since then cost, by pair in its quote currency."""
        with exactly():
            return history.fill_costs(self._store, account, after)

    @property
    def _state(self) -> EngineState:
        return self._engine.state

    def _order(self, account: str, order_id: str) -> ExchangeOrder:
        open_order = self._state.account(account).orders.get(order_id)
        order = open_order.order if open_order else self._store.order(account, order_id)
        if order is None:
            raise Refused(UNKNOWN_ORDER)
        return order
