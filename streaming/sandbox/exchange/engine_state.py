"""The state of the engine: accounts, orders in force and markets, and the steps by which they change.

Every step notes in `changes` what the store has to write and which events listeners get.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from heapq import heapify, heappush

from streaming.sandbox.exchange.amends import AmendKind, OrderAmend
from streaming.sandbox.exchange.changes import Changes
from streaming.sandbox.exchange.ids import Ids
from streaming.sandbox.exchange.ledger import ExchangeAccount, reservation_of
from streaming.sandbox.exchange.pair_market import PairMarket
from streaming.sandbox.exchange.settlement import balance_changes, fee_changes
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import (
    FINAL,
    BalanceChanged,
    ExchangeFill,
    ExchangeOrder,
    ExecType,
    OrderChanged,
    OrderState,
    Print,
    Refused,
)
from trading.margin.account import MarginAccount
from trading.margin.terms import MarginTerms
from trading.market import Pair, PairStatus
from trading.orders import Side

ZERO = Decimal(0)
WITHIN = frozenset({"trade", "margin", "rollover"})  # entries whose other side is on this exchange
MAX_OUTDATED = 100  # orders that ended before they expired: so many are not worth the work
AMENDMENTS = {ExecType.AMENDED: AmendKind.USER, ExecType.RESTATED: AmendKind.RESTATED}
MATCHING = frozenset({PairStatus.ONLINE, PairStatus.LIMIT_ONLY, PairStatus.REDUCE_ONLY})


class EngineState:
    def __init__(
        self,
        markets: Mapping[Pair, PairMarket],
        terms: MarginTerms,
        quote: str,
        now: Callable[[], datetime],
        server: Callable[[], float],
        ids: Ids,
    ) -> None:
        self.markets = markets
        self.terms = terms
        self.quote = quote
        self.now = now
        self.server = server
        self.ids = ids
        self.accounts: dict[str, ExchangeAccount] = {}
        self.borrowers: dict[str, ExchangeAccount] = {}  # with an open position
        self.working: dict[str, WorkingOrder] = {}  # by order id
        self.market_maker: dict[str, Decimal] = {}  # what it has won of each asset, or given
        self.fees: dict[str, Decimal] = {}  # collected
        self.switches: dict[str, float] = {}  # dead man's: account to the server time at which it fires
        self.expiries: list[tuple[float, str]] = []  # heap of server times and order ids
        self.closes: list[
            tuple[ExchangeOrder, Decimal]
        ] = []  # fills whose close orders have yet to be placed
        self.prices: dict[Pair, Decimal] = {}  # last price of every pair that has one
        self.system_status = PairStatus.ONLINE
        self.statuses: dict[Pair, PairStatus] = {}  # that were set: others have their instrument's
        self.changes = Changes()

    # --- looking up --------------------------------------------------------------------------------------------

    def account(self, name: str) -> ExchangeAccount:
        try:
            return self.accounts[name]
        except KeyError:
            raise Refused("EAPI:Invalid key") from None

    def market(self, pair: Pair) -> PairMarket:
        try:
            return self.markets[pair]
        except KeyError:
            raise Refused("EQuery:Unknown asset pair") from None

    def status(self, pair: Pair) -> PairStatus:
        """Return the pair's status, unless the whole exchange is in something other than normal order."""
        if self.system_status is not PairStatus.ONLINE:
            return self.system_status
        return self.statuses.get(pair, self.markets[pair].instrument.status)

    def matches(self, pair: Pair) -> bool:
        return self.status(pair) in MATCHING

    # --- orders ------------------------------------------------------------------------------------------------

    def accept(self, draft: ExchangeOrder) -> WorkingOrder:
        """Give the order its id; it is in force from now on."""
        order = replace(draft, order_id=self.ids.next_order())
        working = WorkingOrder(order, self.ids.counters.orders)
        account = self.accounts[order.account]
        self.working[order.order_id] = working
        account.orders[order.order_id] = working
        if order.request.client_order_id:
            account.client_ids[order.request.client_order_id] = order.order_id
        if order.request.expires_at is not None:
            self._schedule_expiry(order, order.request.expires_at)
        self._note(working, ExecType.PENDING_NEW)
        return working

    def update(self, working: WorkingOrder, order: ExchangeOrder, change: ExecType | None) -> None:
        """Replace the order. It must not be resting at another price or with another quantity."""
        if change in AMENDMENTS:
            order = self.record_amend(working.order, order, AMENDMENTS[change])
        working.order = order
        if order.state in FINAL:
            self._remove(working)
        else:
            hold = reservation_of(order, self.markets[order.request.pair].instrument)
            self.accounts[order.account].reserve(order.order_id, hold)
        self._note(working, change)

    def record_amend(
        self, old: ExchangeOrder, new: ExchangeOrder, kind: AmendKind, reason: str = ""
    ) -> ExchangeOrder:
        """Record what an order is amended to, before the first one also what it was; return it with the id."""
        if not old.amend_id:
            self.changes.amends.append(OrderAmend.original(old))
        amend_id = self.ids.next_amend()
        self.changes.amends.append(OrderAmend.of(new, amend_id, kind, self.now(), reason))
        return replace(new, amend_id=amend_id)

    def end(self, working: WorkingOrder, state: OrderState, reason: str) -> None:
        """Take the order off the book and out of force."""
        market = self.markets[working.order.request.pair]
        if working.is_resting:
            market.remove_resting(working)
            self.note_level(working.order)
        if working.is_armed and working in market.triggers:
            market.triggers.disarm(working)
        ended = replace(working.order, state=state, reason=reason, closed_at=self.now())
        self.update(working, ended, ExecType.EXPIRED if state is OrderState.EXPIRED else ExecType.CANCELED)

    def rest(self, working: WorkingOrder) -> None:
        self.markets[working.order.request.pair].rest(working, self.ids.next_priority())
        self.note_level(working.order)
        self.changes.orders[working.order.order_id] = working

    def record_fill(self, working: WorkingOrder, execution: ExchangeFill) -> None:
        """Add one fill to the order: it leaves the book, or shrinks there, when it rests."""
        order, market = working.order, self.markets[working.order.request.pair]
        grown = replace(
            order,
            filled=order.filled + execution.quantity,
            cost=order.cost + execution.cost,
            fee=order.fee + execution.fee,
        )
        done = not grown.remaining
        if working.is_resting:
            if done:
                market.remove_resting(working)
            else:
                market.queues[execution.side].shrink(working, execution.quantity)
                market.touch(working)
            self.note_level(order)
        if done:
            grown = replace(grown, state=OrderState.CLOSED, closed_at=execution.at)
        self.changes.fills.append(execution)
        self.update(working, grown, None)
        self.changes.events.append(OrderChanged(grown, ExecType.TRADE, execution))
        if done:
            self.changes.events.append(OrderChanged(grown, ExecType.FILLED, None))
        if order.request.close is not None:
            self.closes.append((grown, execution.quantity))

    def note_level(self, order: ExchangeOrder) -> None:
        """Mark that how much has traded before the orders at this price has to be stored."""
        assert order.limit_price is not None
        self.changes.levels[(order.request.pair, order.request.side, order.limit_price)] = None

    # --- money -------------------------------------------------------------------------------------------------

    def open_account(self, name: str, balances: Mapping[str, Decimal]) -> None:
        state = MarginAccount.of(self.terms, self.quote, balances)
        self.accounts[name] = ExchangeAccount(name, replace(state, balances={}))
        self.settle(self.accounts[name], state, "deposit", name)

    def enter(self, name: str, asset: str, amount: Decimal, kind: str) -> BalanceChanged:
        """Change one balance by what comes from outside, or leaves: a deposit, a withdrawal, a reward."""
        account = self.accounts[name]
        balances = {**account.state.balances, asset: account.balance(asset) + amount}
        self.settle(account, replace(account.state, balances=balances), kind, name)
        return self.changes.entries[-1]

    def settle(self, account: ExchangeAccount, state: MarginAccount, kind: str, reference: str) -> None:
        """Replace the account's state. What it gains and what it pays in fees comes from, and goes to, somebody."""
        before, account.state = account.state, state
        paid = fee_changes(before, state)
        for asset, change in balance_changes(before, state).items():
            if kind in WITHIN:
                self.market_maker[asset] = self.market_maker.get(asset, ZERO) - change - paid.get(asset, ZERO)
            balance = state.balances[asset]
            entry = BalanceChanged(
                account=account.name,
                asset=asset,
                amount=change,
                balance=balance,
                kind=kind,
                reference=reference,
                at=self.now(),
                fee=paid.get(asset, ZERO),
                entry_id=self.ids.next_entry(),
            )
            self.changes.entries.append(entry)
            self.changes.events.append(entry)
        for asset, fee in paid.items():
            self.fees[asset] = self.fees.get(asset, ZERO) + fee
        self.changes.accounts[account.name] = None
        if state.positions:
            self.borrowers[account.name] = account
        else:
            self.borrowers.pop(account.name, None)

    def print_trade(
        self, pair: Pair, price: Decimal, quantity: Decimal, side: Side, order_type: str
    ) -> Print:
        """Print a client's trade on the tape."""
        print_ = self.markets[pair].tape.add(
            at=self.now(), price=price, quantity=quantity, side=side, order_type=order_type
        )
        self.note_print(print_)
        return print_

    def note_print(self, print_: Print) -> None:
        self.changes.prints.setdefault(print_.pair, []).append(print_)
        self.changes.markets[print_.pair] = None

    def _schedule_expiry(self, order: ExchangeOrder, at: datetime) -> None:
        """Queue the expiry; orders that ended long before they would expire do not stay in the heap for ever."""
        heappush(self.expiries, (at.timestamp(), order.order_id))
        if len(self.expiries) > MAX_OUTDATED + 2 * len(self.working):
            self.expiries[:] = [each for each in self.expiries if each[1] in self.working]
            heapify(self.expiries)

    def _remove(self, working: WorkingOrder) -> None:
        order = working.order
        account = self.accounts[order.account]
        account.reserve(order.order_id, None)
        del account.orders[order.order_id]
        del self.working[order.order_id]
        if order.request.client_order_id:
            del account.client_ids[order.request.client_order_id]

    def _note(self, working: WorkingOrder, change: ExecType | None) -> None:
        self.changes.orders[working.order.order_id] = working
        if change is not None:
            self.changes.events.append(OrderChanged(working.order, change, None))
