"""Effects of one trade of the market, in this order:

1. rollovers that are due by then are charged, and it is printed on the tape;
2. resting orders that it reaches fill at their limits: those whose price it went through, best first, then those
   at its very price, behind what stood before them; together no more than its quantity;
3. it is the last price now, the market maker quotes around it, and resting orders that the new quotes meet fill;
4. trailing stops follow, then every order whose trigger is reached goes to the book;
5. the close orders of all these fills are placed;
6. accounts at the liquidation level are closed out.
"""

from collections.abc import Sequence
from decimal import Decimal

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.execution import advance_queue, ensure_fillable, fill_resting
from streaming.sandbox.exchange.margin import charge, liquidate
from streaming.sandbox.exchange.order_entry import fire_triggers, move_trailing_stops, place_close_orders
from streaming.sandbox.exchange.pair_market import PairMarket
from streaming.sandbox.exchange.settlement import capacity
from streaming.sandbox.exchange.working_order import opposite
from streaming.sandbox.market import Tick
from trading.orders import Side


def on_tick(state: EngineState, market: PairMarket, tick: Tick) -> None:
    charge(state)
    state.note_print(market.add_tick(tick))
    state.prices[market.pair] = tick.price
    left = _fill_crossed(state, market, tick)
    if left:
        _fill_at_price(state, market, tick, left)
    requote(state, market, tick.price)
    move_trailing_stops(state, market)
    fire_triggers(state, market)
    place_close_orders(state)
    liquidate(state)
    place_close_orders(state)


def catch_up(state: EngineState, market: PairMarket, ticks: Sequence[Tick]) -> None:
    """Print what traded while this exchange was closed: orders fill not by it, but by the quotes that follow."""
    if not state.matches(market.pair):
        return
    for tick in ticks:
        state.note_print(market.add_tick(tick))
    state.prices[market.pair] = ticks[-1].price
    requote(state, market, ticks[-1].price)
    move_trailing_stops(state, market)
    fire_triggers(state, market)


def requote(state: EngineState, market: PairMarket, last: Decimal) -> None:
    """Quote anew; quotes take what rests at their price or better, at the resting order's limit."""
    market.requote(last)
    for side in Side:
        while (working := market.quotes_reach(side)) is not None:
            if not ensure_fillable(state, working):
                continue
            limit = working.order.limit_price
            assert limit is not None
            wanted = capacity(state.accounts[working.order.account], working)
            fill_resting(state, working, market.take_quotes(side, limit, wanted))


def _fill_crossed(state: EngineState, market: PairMarket, tick: Tick) -> Decimal:
    """Fill orders whose price the trade went through; return what it has left for orders at its own price."""
    left = tick.quantity
    for side in (opposite(tick.side), tick.side):
        queue = market.queues[side]
        while left and (level := queue.best) and (level.price - tick.price) * side.sign > 0:
            left -= fill_resting(state, next(iter(level.orders.values())), left)
    return left


def _fill_at_price(state: EngineState, market: PairMarket, tick: Tick, left: Decimal) -> None:
    """Fill orders at the very price; only trades that hit this side of the book bring its queue forward."""
    side = opposite(tick.side)
    level = market.queues[side].at(tick.price)
    for working in list(level.orders.values()) if level else ():
        assert level is not None
        before = min(left, max(working.queue_position - level.traded_ahead, Decimal(0)))
        if before:
            advance_queue(state, pair=market.pair, side=side, price=tick.price, quantity=before)
            left -= before
        if not left:
            return
        left -= fill_resting(state, working, left)
