"""What one trade of the market sets off. In this order:

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
from streaming.sandbox.exchange.entry import fire, follow, place_closes
from streaming.sandbox.exchange.execution import can_be_filled, fill_resting, passed_by
from streaming.sandbox.exchange.margin_watch import charge, liquidate
from streaming.sandbox.exchange.pair_market import PairMarket
from streaming.sandbox.exchange.settlement import capacity
from streaming.sandbox.exchange.working_order import opposite
from streaming.sandbox.market import Tick
from trading.orders import Side


def moved(floor: EngineState, market: PairMarket, tick: Tick) -> None:
    charge(floor)
    floor.note_print(market.moved(tick))
    floor.prices[market.pair] = tick.price
    left = _went_through(floor, market, tick)
    if left:
        _traded_at(floor, market, tick, left)
    requoted(floor, market, tick.price)
    follow(floor, market)
    fire(floor, market)
    place_closes(floor)
    liquidate(floor)
    place_closes(floor)


def caught_up(floor: EngineState, market: PairMarket, ticks: Sequence[Tick]) -> None:
    """What traded elsewhere while this exchange was closed: no order fills by it, but by the quotes that follow."""
    if not floor.matches(market.pair):
        return
    for tick in ticks:
        floor.note_print(market.moved(tick))
    floor.prices[market.pair] = ticks[-1].price
    requoted(floor, market, ticks[-1].price)
    follow(floor, market)
    fire(floor, market)


def requoted(floor: EngineState, market: PairMarket, last: Decimal) -> None:
    """New quotes take what rests at their price or better, at the resting order's limit."""
    market.requote(last)
    for side in Side:
        while (working := market.quotes_reach(side)) is not None:
            if not can_be_filled(floor, working):
                continue
            limit = working.order.limit_price
            assert limit is not None
            wanted = capacity(floor.accounts[working.order.account], working)
            fill_resting(floor, working, market.take_quotes(side, limit, wanted))


def _went_through(floor: EngineState, market: PairMarket, tick: Tick) -> Decimal:
    """What the trade has left for orders at its own price."""
    left = tick.quantity
    for side in (opposite(tick.side), tick.side):
        queue = market.queues[side]
        while left and (level := queue.best) and (level.price - tick.price) * side.sign > 0:
            left -= fill_resting(floor, next(iter(level.orders.values())), left)
    return left


def _traded_at(floor: EngineState, market: PairMarket, tick: Tick, left: Decimal) -> None:
    """Only trades that hit this side of the book bring its queue forward."""
    side = opposite(tick.side)
    level = market.queues[side].at(tick.price)
    for working in list(level.orders.values()) if level else ():
        assert level is not None
        before = min(left, max(working.place - level.passed, Decimal(0)))
        if before:
            passed_by(floor, market.pair, side, tick.price, before)
            left -= before
        if not left:
            return
        left -= fill_resting(floor, working, left)
