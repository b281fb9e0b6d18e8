"""The floor as its store says: a new exchange and one that goes on after its process was killed start the same way."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from heapq import heapify

from streaming.sandbox.exchange.engine_state import Counters, EngineState
from streaming.sandbox.exchange.ledger import ExchangeAccount, hold_of
from streaming.sandbox.exchange.pair_market import PairMarket
from streaming.sandbox.exchange.rows import printed_of, time_of, working_of
from streaming.sandbox.exchange.store import WHOLE_EXCHANGE, ExchangeStore
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.market import Tick, TickSource
from streaming.sandbox.model import OrderState
from trading.errors import InvalidSettings
from trading.margin.account import MarginAccount
from trading.margin.terms import MarginPosition
from trading.market import Pair, PairStatus
from trading.orders import Side

PRELOADED_TICKS = 100_000  # ticks of the past per pair: at four a minute, 17 days
MICROSECOND = timedelta(microseconds=1)


def resume(floor: EngineState, store: ExchangeStore, source: TickSource | None) -> None:
    """Fill an empty floor. InvalidSettings when orders are open on a pair that is no longer listed."""
    for pair, market in floor.markets.items():
        _resume_market(floor, store, market, source)
        if market.last is not None:
            floor.prices[pair] = market.last
    _resume_standing(floor, store)
    for (name,) in store.rows("SELECT account FROM accounts ORDER BY rowid"):
        floor.accounts[name] = ExchangeAccount(name, _state(floor, store, name))
        if floor.accounts[name].borrows:
            floor.borrowers[name] = floor.accounts[name]
    _resume_orders(floor, store)
    for market in floor.markets.values():
        market.book_changed(floor.now())


def _resume_market(
    floor: EngineState, store: ExchangeStore, market: PairMarket, source: TickSource | None
) -> None:
    stored = store.rows(
        "SELECT last, at, ticks_at, last_id, taken, step FROM markets WHERE pair = ?", market.pair.key
    )
    if not stored:
        past = source.history(market.pair, floor.now(), PRELOADED_TICKS) if source else []
        market.tape.preload(past)
        if past:
            market.requote(past[-1].price)
        return
    [(last, at, ticks_at, last_id, taken, step)] = stored
    prints = _prints(store, market.pair)
    past = _past(source, market.pair, prints[0].at if prints else floor.now(), last_id - len(prints))
    market.tape.preload((*past, *prints), last_id)
    market.at = time_of(at) if at is not None else None
    market.ticks_at = ticks_at
    if last is not None:
        amounts = {Side(side): Decimal(amount) for side, amount in json.loads(taken).items()}
        market.resume(Decimal(last), step, amounts)


def _prints(store: ExchangeStore, pair: Pair) -> list[Tick]:
    """What was printed since the exchange was new, as far as it is kept; their ids have no gaps."""
    rows = store.rows(
        "SELECT at, price, quantity, side, order_type FROM prints WHERE pair = ? ORDER BY trade_id", pair.key
    )
    return [printed_of(pair, row) for row in rows]


def _past(source: TickSource | None, pair: Pair, until: datetime, last_id: int) -> list[Tick]:
    """What traded before the prints that were kept, the first of which happened at `until`."""
    count = min(PRELOADED_TICKS, last_id)
    return source.history(pair, until - MICROSECOND, count) if source and count else []


def _resume_standing(floor: EngineState, store: ExchangeStore) -> None:
    for orders, executions, priorities in store.rows("SELECT orders, executions, priorities FROM counters"):
        floor.counters = Counters(orders, executions, priorities)
    for asset, market_maker, fees in store.rows("SELECT * FROM house"):
        floor.market_maker[asset], floor.fees[asset] = Decimal(market_maker), Decimal(fees)
    floor.switches.update(store.rows("SELECT account, due FROM switches"))
    for pair, status in store.rows("SELECT pair, status FROM statuses"):
        if pair == WHOLE_EXCHANGE:
            floor.system_status = PairStatus(status)
        elif Pair.parse(pair) in floor.markets:
            floor.statuses[Pair.parse(pair)] = PairStatus(status)


def _state(floor: EngineState, store: ExchangeStore, name: str) -> MarginAccount:
    columns: tuple[dict[str, Decimal], ...] = ({}, {}, {}, {})
    rows = store.rows("SELECT asset, opening, amount, realised, fees FROM balances WHERE account = ?", name)
    for asset, *amounts in rows:
        for column, amount in zip(columns, amounts, strict=True):
            column[asset] = Decimal(amount)
    opening, balances, realised, fees = columns
    state = MarginAccount.of(floor.terms, floor.quote, opening)
    positions = store.rows(
        "SELECT pair, quantity, entry_price, leverage, opened_at, rolled FROM positions "
        "WHERE account = ? ORDER BY place",
        name,
    )
    return replace(
        state,
        balances=balances,
        realised=realised,
        fees=fees,
        positions=tuple(_position(*row) for row in positions),
    )


def _position(
    pair: str, quantity: str, entry_price: str, leverage: str, opened_at: int, rolled: int
) -> MarginPosition:
    return MarginPosition(
        Pair.parse(pair),
        Decimal(quantity),
        Decimal(entry_price),
        Decimal(leverage),
        time_of(opened_at),
        rolled,
    )


def _resume_orders(floor: EngineState, store: ExchangeStore) -> None:
    rows = store.rows("SELECT * FROM orders WHERE state IN ('pending', 'open') ORDER BY number")
    in_force = [working_of(row) for row in rows]
    for working in in_force:
        _resume_order(floor, working)
    passed = {
        (pair, side, Decimal(price)): Decimal(amount)
        for pair, side, price, amount in store.rows("SELECT * FROM levels")
    }
    for working in sorted(in_force, key=lambda each: each.priority):
        _resume_place(floor, working, passed)
    heapify(floor.expiries)


def _resume_order(floor: EngineState, working: WorkingOrder) -> None:
    order, request = working.order, working.order.request
    if request.pair not in floor.markets:
        raise InvalidSettings(
            f"the sandbox's store has open orders on {request.pair}, which is no longer listed: list it again, or "
            "name another store"
        )
    account = floor.accounts[order.account]
    floor.working[order.order_id] = working
    account.orders[order.order_id] = working
    account.hold(order.order_id, hold_of(order, floor.markets[request.pair].instrument))
    if request.client_order_id:
        account.client_ids[request.client_order_id] = order.order_id
    if request.expires_at is not None:
        floor.expiries.append((request.expires_at.timestamp(), order.order_id))


def _resume_place(
    floor: EngineState, working: WorkingOrder, passed: Mapping[tuple[str, str, Decimal], Decimal]
) -> None:
    request = working.order.request
    market = floor.markets[request.pair]
    if working.order.state is OrderState.PENDING:
        market.triggers.arm(working)
    elif working.order.limit_price is not None:
        key = (request.pair.key, request.side.value, working.order.limit_price)
        market.queues[request.side].resume(working, passed[key])
        market.touch(working)
