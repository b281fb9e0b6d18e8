"""One pair's market: its tape, the market maker's quotes, the client orders on the book and those that wait."""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from streaming.sandbox.exchange.book_sides import Display, RestingOrders
from streaming.sandbox.exchange.matching import Match, match_book
from streaming.sandbox.exchange.triggers import Triggers
from streaming.sandbox.exchange.working_order import WorkingOrder, opposite
from streaming.sandbox.market import Ladder, Tick, TradeTape
from streaming.sandbox.model import BookChanged, BookView, ExchangeOrder, Listing, Print, SelfTrade, Spread
from trading.market import Pair
from trading.orders import Side

ZERO = Decimal(0)
SPREADS = 200  # that Spread answers with, by Kraken's docs
TAPE_PRINTS = 250_000  # per pair, in memory and in the store: more than Kraken's busiest pair prints in a day


class PairMarket:
    """The book of one pair; accounts are settled elsewhere."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.instrument = listing.instrument
        self.pair: Pair = listing.instrument.pair
        self.tape = TradeTape(listing.instrument, TAPE_PRINTS)
        self.ladder = Ladder(listing, listing.seed)
        self.queues = {side: RestingOrders(side) for side in Side}
        self.triggers = Triggers()
        self.last: Decimal | None = None  # of the market's own trades: clients do not move what is quoted
        self.at: datetime | None = None  # of the newest tick
        self.ticks_at = 0  # ticks that bore this very time: a replay goes on behind them
        self.taken: dict[Side, Decimal] = {}  # from the ladder since it last quoted, by taker
        self.spreads: deque[Spread] = deque(maxlen=SPREADS)  # since this exchange started, oldest first
        self._display = {side: Display(side, self._quantity_at(side)) for side in Side}

    @property
    def newest(self) -> datetime | None:
        """Up to when the source has been played: the newest tick or print, None before the first."""
        times = [each.at for each in self.tape.newest(1)] + ([self.at] if self.at else [])
        return max(times, default=None)

    def restore(self, last: Decimal, step: int, taken: Mapping[Side, Decimal]) -> None:
        """Quote as before, less what was taken of the last quotes."""
        self.ladder.restore(step)
        self.requote(last)
        for taker, quantity in taken.items():
            self.take_quotes(taker, None, quantity)

    def add_tick(self, tick: Tick) -> Print:
        """Print another trade of the market itself. The quotes stay until `requote`."""
        self.skip_tick(tick)
        return self.tape.add(
            at=tick.at, price=tick.price, quantity=tick.quantity, side=tick.side, order_type=tick.order_type
        )

    def skip_tick(self, tick: Tick) -> None:
        """Count the tick as read, whether it became a trade or not."""
        self.ticks_at = self.ticks_at + 1 if tick.at == self.at else 1
        self.at = tick.at

    def requote(self, last: Decimal) -> None:
        self.last = last
        self.taken.clear()
        changes = self.ladder.requote(last)
        self._display[Side.BUY].touch(price for price, _ in changes.bids)
        self._display[Side.SELL].touch(price for price, _ in changes.asks)

    def take_quotes(self, taker: Side, limit: Decimal | None, quantity: Decimal) -> Decimal:
        """Consume the market maker's quotes, best first, up to `limit`; return how much there was."""
        taken = self.ladder.take(taker, limit, quantity)
        total = sum((amount for _, amount in taken), ZERO)
        if taken:
            self.taken[taker] = self.taken.get(taker, ZERO) + total
            self._display[opposite(taker)].touch(price for price, _ in taken)
        return total

    def match(self, working: WorkingOrder, quantity: Decimal) -> Match:
        """Return what this quantity of the order would meet on the book now."""
        order = working.order
        return self.match_order(order, quantity)

    def match_order(self, order: ExchangeOrder, quantity: Decimal) -> Match:
        side = order.request.side
        other = opposite(side)
        return match_book(
            side=side,
            limit=order.limit_price,
            quantity=quantity,
            account=order.account,
            quotes=self.ladder.levels(other),
            queue=self.queues[other],
            passes_own=order.request.self_trade is SelfTrade.CANCEL_OLDEST,
        )

    def would_take(self, side: Side, limit: Decimal) -> bool:
        best = self.best(opposite(side))
        return best is not None and (best - limit) * side.sign <= 0

    def best(self, side: Side) -> Decimal | None:
        """Return the best price on that side of the book, whoever offers it."""
        level, quote = self.queues[side].best, self.ladder.best(side)
        prices = ([level.price] if level else []) + ([quote[0]] if quote else [])
        if not prices:
            return None
        return max(prices) if side is Side.BUY else min(prices)

    def rest(self, working: WorkingOrder, priority: int) -> None:
        """Append the order to the queue at its limit price."""
        side, price = working.order.request.side, working.order.limit_price
        assert price is not None
        self.queues[side].enter(working, priority, self.ladder.quantity_at(side, price))
        self.touch(working)

    def remove_resting(self, working: WorkingOrder) -> None:
        """Take the order off the book, with the quantity that it still has."""
        self.queues[working.order.request.side].leave(working)
        self.touch(working)

    def touch(self, working: WorkingOrder) -> None:
        if working.order.limit_price is not None:
            self._display[working.order.request.side].touch((working.order.limit_price,))

    def quotes_reach(self, side: Side) -> WorkingOrder | None:
        """Return the resting order on `side` that the market maker's newest quotes meet first."""
        quote = self.ladder.best(opposite(side))
        level = self.queues[side].reaches(quote[0]) if quote else None
        return next(iter(level.orders.values())) if level else None

    def take_book_changes(self, at: datetime) -> BookChanged | None:
        """Return what is different on the book since the last call."""
        bids, asks = self._display[Side.BUY].refresh(at), self._display[Side.SELL].refresh(at)
        if not (bids or asks):
            return None
        self._note_spread(at)
        return BookChanged(self.pair, bids, asks)

    def _note_spread(self, at: datetime) -> None:
        bid, ask = (self._display[side].best for side in Side)
        if bid is None or ask is None:
            return
        if not self.spreads or (self.spreads[-1].bid, self.spreads[-1].ask) != (bid.price, ask.price):
            self.spreads.append(Spread(at, bid.price, ask.price))

    def book(self, depth: int) -> BookView:
        return BookView(*(self._display[side].top(depth) for side in Side))

    def display(self, side: Side) -> Display:
        return self._display[side]

    def _quantity_at(self, side: Side) -> Callable[[Decimal], Decimal]:
        queue, ladder = self.queues[side], self.ladder

        def quantity(price: Decimal) -> Decimal:
            level = queue.at(price)
            return ladder.quantity_at(side, price) + (level.quantity if level else ZERO)

        return quantity
