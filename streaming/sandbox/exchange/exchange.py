"""The exchange as its REST and WebSocket APIs and its server use it: requests in, commit, events out."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from decimal import Decimal

from streaming.sandbox.exchange import amendment, checks, deadlines, order_entry
from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ledger import MarginSummary
from streaming.sandbox.exchange.queries import UNKNOWN_ORDER, ExchangeQueries
from streaming.sandbox.exchange.store import ExchangeStore
from streaming.sandbox.exchange.ticks import catch_up, on_tick, requote
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.market import Tick
from streaming.sandbox.model import (
    Amendment,
    BalanceChanged,
    ExchangeOrder,
    NewOrder,
    Refused,
    StatusChanged,
)
from streaming.sandbox.references import ALL_KINDS, Reference, ReferenceKind
from trading.errors import InvalidValue
from trading.market import Pair, PairStatus
from trading.portfolio.exact import check_amount, exactly

__all__ = ["Exchange", "ExchangeStore", "MarginSummary", "Refused"]

USER_REQUESTED = "User requested"


class Exchange(ExchangeQueries):
    """Single-threaded: a listener may read, but must not send a request of its own.

    What it returned or sent to a listener is in the store. A request that raises has changed nothing.
    """

    # --- the market --------------------------------------------------------------------------------------------

    def set_status(self, pair: Pair | None, status: PairStatus) -> None:
        """Set the status of one pair, or of everything. A market that does not match loses its ticks."""
        with self._transaction() as state:
            if pair is None:
                state.system_status = status
            else:
                state.market(pair)
                state.statuses[pair] = status
            state.changes.exchange = True
            state.changes.events.append(StatusChanged(pair, status))
            for market in state.markets.values():
                if market.last is not None and state.matches(market.pair):
                    requote(state, market, market.last)
                    order_entry.fire_triggers(state, market)
            order_entry.place_close_orders(state)

    def apply(self, tick: Tick) -> None:
        """Apply a trade of the market, in the order of events of `ticks`. Refused for a pair that is not listed."""
        market = self._state.market(tick.pair)
        if self._engine.is_repeat(tick):
            return
        with self._engine.transaction(tick.at) as state:
            if state.matches(tick.pair):
                on_tick(state, market, tick)
            else:
                market.skip_tick(tick)
                state.changes.markets[tick.pair] = None

    def catch_up(self) -> None:
        """Print what traded while the exchange was closed; call it once, before anybody listens.

        What its source says has traded until now is printed on the tape; then the exchange opens, as after a halt.
        """
        with self._transaction() as state:
            for pair, ticks in self._engine.missed_ticks().items():
                catch_up(state, state.market(pair), ticks)
            order_entry.place_close_orders(state)

    def elapse(self) -> None:
        """Let time pass: orders expire, dead man's switches trigger, rollovers are charged."""
        if deadlines.is_due(self._state):
            with self._transaction() as state:
                deadlines.elapse(state)
                order_entry.place_close_orders(state)

    # --- accounts ----------------------------------------------------------------------------------------------

    def open_account(self, account: str, balances: Mapping[str, Decimal]) -> None:
        """Open an account once; repeated, it changes nothing. InvalidValue for an asset that nothing prices."""
        if account in self._state.accounts:
            return
        assets = {self._quote, *(asset for pair in self.listings for asset in (pair.base, pair.quote))}
        for asset, amount in balances.items():
            check_amount(f"account {account}: opening balance of {asset}", amount)
            if asset not in assets:
                known = ", ".join(sorted(assets))
                raise InvalidValue(f"account {account}: {asset} is not traded here, known assets are {known}")
        with self._transaction() as state:
            state.open_account(account, balances)

    def enter(self, account: str, asset: str, amount: Decimal, kind: str) -> BalanceChanged:
        """Change one balance from outside; whatever asset it is, traded here or not. InvalidValue where that cannot be.

        A withdrawal leaves what orders have reserved.
        """
        if account not in self._state.accounts:
            raise InvalidValue(f"there is no account {account}: GET /admin/status lists them")
        free = self._state.accounts[account].available(asset)
        if not amount or free + amount < 0:
            raise InvalidValue(f"account {account}: {amount:f} {asset} cannot be entered, {free:f} are free")
        with self._transaction() as state:
            return state.enter(account, asset, amount, kind)

    # --- requests ----------------------------------------------------------------------------------------------

    def add(self, account: str, order: NewOrder, validate: bool = False) -> ExchangeOrder:
        """Place an order; return it after it has met the book. With `validate` nothing is placed and it has no id."""
        self.elapse()
        if validate:
            with exactly():
                return order_entry.check_order(self._state, account, order)
        with self._transaction() as state:
            working = order_entry.place(state, order_entry.check_order(state, account, order))
            order_entry.place_close_orders(state)
        return working.order

    def amend(self, account: str, wanted: Amendment) -> ExchangeOrder:
        """Amend under the same id, to this `quantity` of the whole order; its place stays when only that falls."""
        self.elapse()
        with self._transaction() as state:
            working = self._find(account, wanted.order_id, wanted.client_order_id)
            amendment.amend(state, working, wanted)
            order_entry.place_close_orders(state)
        return working.order

    def edit(self, account: str, wanted: Amendment) -> ExchangeOrder:
        """Place a new order, with a new id, instead of the old one; without `quantity` for what was left of it."""
        self.elapse()
        with self._transaction() as state:
            working = self._find(account, wanted.order_id, wanted.client_order_id)
            new = amendment.edit(state, working, wanted)
            order_entry.place_close_orders(state)
        return new.order

    def cancel(
        self, account: str, reference: str, kinds: tuple[ReferenceKind, ...] = ALL_KINDS
    ) -> list[ExchangeOrder]:
        """Cancel every order with this order id, client order id or user reference, as `kinds` allow."""
        self.elapse()
        with self._transaction() as state:
            found = self._find_by_reference(account, Reference(reference, kinds))
            if any(state.status(each.order.request.pair) in checks.DOWN for each in found):
                raise Refused("EService:Unavailable")
            return [deadlines.cancel(state, working, USER_REQUESTED) for working in found]

    def cancel_all(self, account: str) -> int:
        self.elapse()
        with self._transaction() as state:
            if state.system_status in checks.DOWN:
                raise Refused("EService:Unavailable")
            return deadlines.cancel_all(state, account, USER_REQUESTED)

    def cancel_all_after(self, account: str, seconds: float) -> float | None:
        """Return the server time at which the account's orders end unless this comes again; None for 0, disabled."""
        seconds = checks.check_seconds(seconds)
        self.elapse()
        with self._transaction() as state:
            state.account(account)
            due = state.server() + seconds if seconds else None
            deadlines.set_switch(state, account, due)
            return due

    # --- inside ------------------------------------------------------------------------------------------------

    def _transaction(self) -> AbstractContextManager[EngineState]:
        return self._engine.transaction()

    def _find(self, account_name: str, order_id: str, client_order_id: str) -> WorkingOrder:
        account = self._state.account(account_name)
        if bool(order_id) == bool(client_order_id):
            raise Refused(f"{checks.ARGUMENT}exactly one of order_id and cl_ord_id is wanted")
        working = account.orders.get(order_id or account.client_ids.get(client_order_id, ""))
        if working is None:
            raise Refused(UNKNOWN_ORDER)
        return working

    def _find_by_reference(self, account_name: str, reference: Reference) -> list[WorkingOrder]:
        orders = self._state.account(account_name).orders
        found = reference.among(working.order for working in orders.values())
        if not found:
            raise Refused(UNKNOWN_ORDER)
        return [orders[order.order_id] for order in found]
