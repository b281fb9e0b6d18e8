"""The engine: market time, one transaction for each change of its state, and its listeners."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import takewhile

from streaming.sandbox.exchange.changes import Changes
from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ids import Ids
from streaming.sandbox.exchange.margin import reduce_to_positions
from streaming.sandbox.exchange.pair_market import PairMarket
from streaming.sandbox.exchange.recovery import restore
from streaming.sandbox.exchange.store import ExchangeStore
from streaming.sandbox.market import MarketClock, Tick, TickSource
from streaming.sandbox.model import ExchangeEvent, Listing, Refused, TradesPrinted
from trading.margin.terms import MarginTerms
from trading.market import Pair
from trading.portfolio.exact import exactly

Listener = Callable[[ExchangeEvent], None]


class Engine:
    state: EngineState

    def __init__(
        self,
        listings: Mapping[Pair, Listing],
        terms: MarginTerms,
        quote: str,
        store: ExchangeStore,
        clock: MarketClock,
        server: Callable[[], float],
        source: TickSource | None,
    ) -> None:
        self._listings = listings
        self._terms = terms
        self._quote = quote
        self._store = store
        self._clock = clock
        self._server = server
        self._source = source
        self._listeners: list[Listener] = []
        self._moment: datetime | None = None
        self._newest: datetime = store.position() or clock.now()
        self._restore()
        self._repeats = {
            pair: (market.at, market.ticks_at)
            for pair, market in self.state.markets.items()
            if market.at is not None
        }

    def now(self) -> datetime:
        return self._moment or max(self._clock.now(), self._newest)

    @contextmanager
    def at(self, time: datetime) -> Iterator[None]:
        """Let everything inside happen at this market time, or at that of the newest change when it is later."""
        outer, self._moment = self._moment, max(time, self._newest)
        try:
            yield
        finally:
            self._moment = outer

    @contextmanager
    def transaction(self, time: datetime | None = None) -> Iterator[EngineState]:
        """Run one transaction at one market time. Refused: nothing has changed; failed: the state is what is stored."""
        state = self.state
        state.changes = changes = Changes()
        try:
            with self.at(time or self.now()), exactly():
                yield state
                reduce_to_positions(state)
                _note_books(state)
                if changes:
                    self._store.commit(changes, state)
                    self._newest = self.now()
        except BaseException as error:
            if changes or not isinstance(error, Refused):
                self._restore()
            raise
        self._notify(changes)

    def listen(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)

        def leave() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return leave

    def is_repeat(self, tick: Tick) -> bool:
        """Return whether the tick was applied before the store was opened."""
        if tick.pair not in self._repeats:
            return False
        at, count = self._repeats[tick.pair]
        if tick.at < at:
            return True
        if tick.at > at or not count:
            del self._repeats[tick.pair]
            return False
        self._repeats[tick.pair] = at, count - 1
        return True

    def missed_ticks(self) -> dict[Pair, Sequence[Tick]]:
        """Return what the source traded between the newest of each tape and now; as much as a tape holds."""
        newest = {pair: at for pair, market in self.state.markets.items() if (at := market.newest)}
        found = {pair: deque[Tick](maxlen=self.state.markets[pair].tape.capacity) for pair in newest}
        if self._source is None or not newest:
            return {}
        now = self.now()
        for tick in takewhile(lambda tick: tick.at <= now, self._source.ticks(min(newest.values()))):
            if tick.pair in newest and tick.at > newest[tick.pair]:
                found[tick.pair].append(tick)
        return {pair: ticks for pair, ticks in found.items() if ticks}

    def _restore(self) -> None:
        """Read the state from the store: at the start, and after a change that could not be finished."""
        self._newest = self._store.position() or self._newest
        markets = {pair: PairMarket(listing) for pair, listing in self._listings.items()}
        self.state = EngineState(
            markets=markets,
            terms=self._terms,
            quote=self._quote,
            now=self.now,
            server=self._server,
            ids=Ids(self._store.salt),
        )
        with exactly():
            restore(self.state, self._store, self._source)

    def _notify(self, changes: Changes) -> None:
        prints = [TradesPrinted(pair, tuple(each)) for pair, each in changes.prints.items()]
        for event in (*prints, *changes.events):
            for listener in tuple(self._listeners):
                listener(event)


def _note_books(state: EngineState) -> None:
    now = state.now()
    for market in state.markets.values():
        if (changed := market.take_book_changes(now)) is not None:
            state.changes.events.append(changed)
