"""The exchange as its faces and its server see it: requests in, events out, everything committed in between."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from decimal import Decimal

from streaming.sandbox.exchange import amendment, checks, entry, timing
from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ledger import MarginSummary
from streaming.sandbox.exchange.queries import UNKNOWN_ORDER, ExchangeQueries
from streaming.sandbox.exchange.store import ExchangeStore
from streaming.sandbox.exchange.ticks import caught_up, moved, requoted
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.market import Tick
from streaming.sandbox.model import Amendment, ExchangeOrder, NewOrder, Refused, StatusChanged
from streaming.sandbox.references import EVERY_KIND, Kind, Reference
from trading.errors import InvalidValue
from trading.market import Pair, PairStatus
from trading.portfolio.exact import check_amount, exactly

__all__ = ["Exchange", "ExchangeStore", "MarginSummary", "Refused"]

USER_REQUESTED = "User requested"


class Exchange(ExchangeQueries):
    """Single-threaded: a listener may read, but must not send a request of its own.

    What was answered or told to a listener is in the store. A request that raises has changed nothing.
    """

    # --- the market --------------------------------------------------------------------------------------------

    def set_status(self, pair: Pair | None, status: PairStatus) -> None:
        """Of one pair, or of everything. A market that does not match has no trades: its ticks are lost."""
        with self._changing() as floor:
            if pair is None:
                floor.system_status = status
            else:
                floor.market(pair)
                floor.statuses[pair] = status
            floor.changes.statuses[pair] = status
            floor.changes.events.append(StatusChanged(pair, status))
            for market in floor.markets.values():
                if market.last is not None and floor.matches(market.pair):
                    requoted(floor, market, market.last)
                    entry.fire(floor, market)
            entry.place_closes(floor)

    def apply(self, tick: Tick) -> None:
        """The market traded. Refused for a pair that is not listed. The order of events is that of `ticks`."""
        market = self._floor.market(tick.pair)
        if self._running.is_repeated(tick):
            return
        with self._running.changing(tick.at) as floor:
            if floor.matches(tick.pair):
                moved(floor, market, tick)
            else:
                market.missed(tick)
                floor.changes.markets[tick.pair] = None

    def catch_up(self) -> None:
        """Once, before anybody listens: the market went on while the exchange was closed.

        What its source says has traded until now is printed on the tape; then the exchange opens, as after a halt.
        """
        with self._changing() as floor:
            for pair, ticks in self._running.unseen().items():
                caught_up(floor, floor.market(pair), ticks)
            entry.place_closes(floor)

    def elapse(self) -> None:
        """Time passed: orders expire, dead man's switches fire, rollovers are charged."""
        if timing.is_due(self._floor):
            with self._changing() as floor:
                timing.elapsed(floor)
                entry.place_closes(floor)

    # --- accounts ----------------------------------------------------------------------------------------------

    def open_account(self, account: str, balances: Mapping[str, Decimal]) -> None:
        """Once; repeated with whatever balances it changes nothing. InvalidValue for an asset that nothing prices."""
        if account in self._floor.accounts:
            return
        assets = {self._quote, *(asset for pair in self.listings for asset in (pair.base, pair.quote))}
        for asset, amount in balances.items():
            check_amount(f"account {account}: opening balance of {asset}", amount)
            if asset not in assets:
                known = ", ".join(sorted(assets))
                raise InvalidValue(f"account {account}: {asset} is not traded here, known assets are {known}")
        with self._changing() as floor:
            floor.open_account(account, balances)

    # --- requests ----------------------------------------------------------------------------------------------

    def add(self, account: str, order: NewOrder, validate: bool = False) -> ExchangeOrder:
        """The order as it stands after it has met the book. With `validate` nothing is placed and it has no id."""
        self.elapse()
        if validate:
            with exactly():
                return entry.checked(self._floor, account, order)
        with self._changing() as floor:
            working = entry.place(floor, entry.checked(floor, account, order))
            entry.place_closes(floor)
        return working.order

    def amend(self, account: str, wanted: Amendment) -> ExchangeOrder:
        """Same id; `quantity` is the whole order's. The place in the queue stays when only the quantity falls."""
        self.elapse()
        with self._changing() as floor:
            working = self._find(account, wanted.order_id, wanted.client_order_id)
            amendment.amend(floor, working, wanted)
            entry.place_closes(floor)
        return working.order

    def edit(self, account: str, wanted: Amendment) -> ExchangeOrder:
        """A new order, with a new id, instead of the old one; without `quantity` for what was left of it."""
        self.elapse()
        with self._changing() as floor:
            working = self._find(account, wanted.order_id, wanted.client_order_id)
            new = amendment.edit(floor, working, wanted)
            entry.place_closes(floor)
        return new.order

    def cancel(
        self, account: str, reference: str, kinds: tuple[Kind, ...] = EVERY_KIND
    ) -> list[ExchangeOrder]:
        """By order id, client order id or user reference, as `kinds` allow; it cancels every order that bears it."""
        self.elapse()
        with self._changing() as floor:
            found = self._referenced(account, Reference(reference, kinds))
            if any(floor.status(each.order.request.pair) in checks.DOWN for each in found):
                raise Refused("EService:Unavailable")
            return [timing.cancelled(floor, working, USER_REQUESTED) for working in found]

    def cancel_all(self, account: str) -> int:
        self.elapse()
        with self._changing() as floor:
            if floor.system_status in checks.DOWN:
                raise Refused("EService:Unavailable")
            return timing.cancel_all(floor, account, USER_REQUESTED)

    def cancel_all_after(self, account: str, seconds: float) -> float | None:
        """The server time at which all orders of the account end unless this comes again; None for 0, disabled."""
        seconds = checks.check_seconds(seconds)
        self.elapse()
        with self._changing() as floor:
            floor.account(account)
            due = floor.server() + seconds if seconds else None
            timing.set_switch(floor, account, due)
            return due

    # --- inside ------------------------------------------------------------------------------------------------

    def _changing(self) -> AbstractContextManager[EngineState]:
        return self._running.changing()

    def _find(self, account_name: str, order_id: str, client_order_id: str) -> WorkingOrder:
        account = self._floor.account(account_name)
        if bool(order_id) == bool(client_order_id):
            raise Refused(f"{checks.ARGUMENT}exactly one of order_id and cl_ord_id is wanted")
        working = account.orders.get(order_id or account.client_ids.get(client_order_id, ""))
        if working is None:
            raise Refused(UNKNOWN_ORDER)
        return working

    def _referenced(self, account_name: str, reference: Reference) -> list[WorkingOrder]:
        orders = self._floor.account(account_name).orders
        found = reference.among(working.order for working in orders.values())
        if not found:
            raise Refused(UNKNOWN_ORDER)
        return [orders[order.order_id] for order in found]
