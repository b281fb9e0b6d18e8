"""The engine's state read from its store: a new exchange and one whose process was killed start the same way."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import heapify

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ledger import ExchangeAccount, reservation_of
from streaming.sandbox.exchange.pair_market import PairMarket
from streaming.sandbox.exchange.records import read_account, read_market, read_order, tick_of_print
from streaming.sandbox.exchange.store import ExchangeStore
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.market import Tick, TickSource
from streaming.sandbox.model import OrderState
from trading.errors import InvalidSettings
from trading.margin.account import MarginAccount
from trading.market import Pair

PRELOADED_TICKS = 100_000  # ticks of the past per pair: at four a minute, 17 days
MICROSECOND = timedelta(microseconds=1)


def restore(state: EngineState, store: ExchangeStore, source: TickSource | None) -> None:
    """Fill an empty state. InvalidSettings when orders are open on a pair that is no longer listed."""
    for pair, market in state.markets.items():
        _restore_market(state, store, market, source)
        if market.last is not None:
            state.prices[pair] = market.last
    _restore_exchange(state, store)
    for name, body in store.rows("SELECT account, body FROM accounts ORDER BY rowid"):
        _restore_account(state, name, body)
    _restore_orders(state, store)
    for market in state.markets.values():
        market.take_book_changes(state.now())


def _restore_market(
    state: EngineState, store: ExchangeStore, market: PairMarket, source: TickSource | None
) -> None:
    stored = store.rows("SELECT body FROM markets WHERE pair = ?", market.pair.key)
    if not stored:
        past = source.history(market.pair, state.now(), PRELOADED_TICKS) if source else []
        market.tape.preload(past)
        if past:
            market.requote(past[-1].price)
        return
    record = read_market(stored[0][0])
    prints = _prints(store, market.pair)
    past = _past(source, market.pair, prints[0].at if prints else state.now(), record.last_id - len(prints))
    market.tape.preload((*past, *prints), record.last_id)
    market.at, market.ticks_at = record.at, record.ticks_at
    if record.last is not None:
        market.restore(record.last, record.step, record.taken)


def _prints(store: ExchangeStore, pair: Pair) -> list[Tick]:
    """Return what was printed since the exchange was new, as far as it is stored; their ids have no gaps."""
    rows = store.rows(
        "SELECT at, price, quantity, side, order_type FROM prints WHERE pair = ? ORDER BY trade_id", pair.key
    )
    return [tick_of_print(pair, row) for row in rows]


def _past(source: TickSource | None, pair: Pair, until: datetime, last_id: int) -> list[Tick]:
    """Return what traded before the stored prints, the first of which happened at `until`."""
    count = min(PRELOADED_TICKS, last_id)
    return source.history(pair, until - MICROSECOND, count) if source and count else []


def _restore_exchange(state: EngineState, store: ExchangeStore) -> None:
    record = store.exchange()
    if record is None:
        return
    state.ids.counters = record.counters
    state.market_maker, state.fees, state.switches = record.market_maker, record.fees, record.switches
    state.system_status = record.system_status
    state.statuses = {Pair.parse(pair): status for pair, status in record.statuses.items()}


def _restore_account(state: EngineState, name: str, body: str) -> None:
    record = read_account(body)
    account = ExchangeAccount(
        name,
        replace(
            MarginAccount.of(state.terms, state.quote, record.opening),
            balances=record.balances,
            realised=record.realised,
            fees=record.fees,
            positions=record.positions,
        ),
    )
    state.accounts[name] = account
    if account.borrows:
        state.borrowers[name] = account


def _restore_orders(state: EngineState, store: ExchangeStore) -> None:
    rows = store.rows("SELECT body FROM orders WHERE closed_at IS NULL ORDER BY number")
    in_force = [read_order(body) for (body,) in rows]
    for working in in_force:
        _restore_order(state, working)
    passed = {
        (pair, side, Decimal(price)): Decimal(amount)
        for pair, side, price, amount in store.rows("SELECT * FROM levels")
    }
    for working in sorted(in_force, key=lambda each: each.priority):
        _restore_place(state, working, passed)
    heapify(state.expiries)


def _restore_order(state: EngineState, working: WorkingOrder) -> None:
    order, request = working.order, working.order.request
    if request.pair not in state.markets:
        raise InvalidSettings(
            f"the sandbox's store has open orders on {request.pair}, which is no longer listed: list it again, or "
            "name another store"
        )
    account = state.accounts[order.account]
    state.working[order.order_id] = working
    account.orders[order.order_id] = working
    account.reserve(order.order_id, reservation_of(order, state.markets[request.pair].instrument))
    if request.client_order_id:
        account.client_ids[request.client_order_id] = order.order_id
    if request.expires_at is not None:
        state.expiries.append((request.expires_at.timestamp(), order.order_id))


def _restore_place(
    state: EngineState, working: WorkingOrder, passed: Mapping[tuple[str, str, Decimal], Decimal]
) -> None:
    request = working.order.request
    market = state.markets[request.pair]
    if working.order.state is OrderState.PENDING:
        market.triggers.arm(working)
    elif working.order.limit_price is not None:
        key = (request.pair.key, request.side.value, working.order.limit_price)
        market.queues[request.side].restore(working, passed[key])
        market.touch(working)
