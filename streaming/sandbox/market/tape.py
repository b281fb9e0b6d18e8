"""The public tape of one pair: its prints, its bars and its last 24 hours, in bounded memory."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from operator import mul

from streaming.sandbox.market.bars import BarSeries, IncrementBar
from streaming.sandbox.market.clock import END
from streaming.sandbox.market.increments import Increments
from streaming.sandbox.market.prints import Prints
from streaming.sandbox.market.rolling_day import RollingDay
from streaming.sandbox.market.source import Tick
from streaming.sandbox.model import Bar, BookLevel, DaySummary, Print
from trading.errors import InvalidValue
from trading.market import Instrument
from trading.orders import Side

INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)  # minutes, those of Kraken
DAY_MINUTES = 1440
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
KINDS = tuple((side, order_type) for side in Side for order_type in ("market", "limit"))
KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}


class TradeTape:
    """Prices and quantities must be multiples of the instrument's increments (InvalidValue).

    Time never goes back: a print that comes late carries the time of the one before it.
    """

    def __init__(self, instrument: Instrument, capacity: int = 1_000_000) -> None:
        self._pair = instrument.pair
        self._prices = Increments(instrument.price_increment, f"{instrument.pair} price")
        self._quantities = Increments(instrument.quantity_increment, f"{instrument.pair} quantity")
        self._prints = Prints(capacity)
        self._series = {minutes: BarSeries(minutes) for minutes in INTERVALS}
        self._day = RollingDay(self._prints)
        self._first_id = 1  # of print number 0

    def preload(self, ticks: Iterable[Tick], last_id: int | None = None) -> None:
        """Begin with trades of the past. `last_id` numbers the newest of them; without it ids begin at 1.

        InvalidValue when something was printed already, or where there are more ticks than ids.
        """
        if self._prints.total:
            raise InvalidValue(f"the tape of {self._pair} has prints already: preload comes first")
        rest = iter(ticks)
        self._begin(list(islice(rest, self._prints.capacity)))
        for tick in rest:
            self._append(
                at=tick.at,
                price=tick.price,
                quantity=tick.quantity,
                side=tick.side,
                order_type=tick.order_type,
            )
        if last_id is not None:
            if last_id < self._prints.total:
                raise InvalidValue(
                    f"{self._prints.total} prints of {self._pair} cannot end with id {last_id}"
                )
            self._first_id = last_id - self._prints.total + 1

    def add(self, at: datetime, price: Decimal, quantity: Decimal, side: Side, order_type: str) -> Print:
        """Print one trade, whoever traded; `side` and `order_type` ("market" or "limit") are the taker's."""
        return self._print(
            self._append(at=at, price=price, quantity=quantity, side=side, order_type=order_type)
        )

    @property
    def capacity(self) -> int:
        """Prints that it keeps."""
        return self._prints.capacity

    @property
    def last_price(self) -> Decimal | None:
        last = self._prints.total - 1
        return self._prices.amount(self._prints.price(last)) if last >= 0 else None

    @property
    def last_id(self) -> int:
        """Id of the newest print; one below that of the next."""
        return self._first_id + self._prints.total - 1

    def since(self, cursor: int, count: int = 1000) -> tuple[list[Print], int]:
        """Return the oldest prints after `cursor` (nanoseconds since 1970, exclusive) and the cursor behind them.

        The cursor stays as it is when there are none.
        """
        first = self._prints.after(cursor)
        last = min(first + count, self._prints.total)
        following = self._prints.time(last - 1) if last > first else cursor
        return [self._print(number) for number in range(first, last)], following

    def newest(self, count: int) -> list[Print]:
        """Return the last `count` prints, ascending; `cursor` follows them."""
        total = self._prints.total
        return [self._print(number) for number in range(max(self._prints.oldest, total - count), total)]

    def after_id(self, trade_id: int, count: int) -> list[Print]:
        """Return the oldest prints with an id above `trade_id`, ascending; those that are gone are left out."""
        first = max(trade_id + 1 - self._first_id, self._prints.oldest)
        last = min(first + count, self._prints.total)
        return [self._print(number) for number in range(first, last)]

    def id_before(self, time: datetime) -> int:
        """Return the id of the newest print before `time`; one below the oldest that is kept where there is none."""
        return self._first_id + self._prints.after(_microseconds(time) * 1000 - 1) - 1

    @property
    def oldest_id(self) -> int:
        """Id of the oldest print that is kept; one above `last_id` before the first."""
        return self._first_id + self._prints.oldest

    @property
    def cursor(self) -> int:
        """Cursor of the newest print, for `since`; 0 before the first."""
        total = self._prints.total
        return self._prints.time(total - 1) if total else 0

    def bars(self, interval: int, since: datetime | None = None) -> list[Bar]:
        """Return at most 721 bars in which something traded, with open_time > `since`: what the WebSocket sends."""
        after = _microseconds(since) if since else -1
        return [self._bar(bar) for bar in self._series_of(interval).with_trades() if bar.opened > after]

    def filled_bars(self, interval: int, now: datetime, since: datetime | None = None) -> list[Bar]:
        """Return the last 721 intervals up to `now` with open_time > `since`, always the newest: what REST sends.

        Where nothing traded the last close is repeated, with volume, vwap and trades 0.
        """
        rows = list(self._series_of(interval).without_gaps(_microseconds(now)))
        after = min(_microseconds(since), rows[-1].opened - 1) if since and rows else -1
        return [self._bar(bar) for bar in rows if bar.opened > after]

    def bar_between(self, opens: datetime, closes: datetime) -> Bar | None:
        """Build one bar from its prints, however long ago; without any it stands at the price before.

        None where no price was known yet, or prints of it are not kept any more.
        """
        begins = _microseconds(opens)
        first, last = (self._prints.after(each * 1000 - 1) for each in (begins, _microseconds(closes)))
        if first == self._prints.oldest and (first or not last):
            return None
        if first == last:
            return self._bar(IncrementBar.without_trades(begins, self._prints.price(first - 1)))
        bar = IncrementBar.without_trades(begins, self._prints.price(first))
        for number in range(first, last):
            price, quantity = self._prints.price(number), self._prints.quantity(number)
            bar.high, bar.low, bar.close = max(bar.high, price), min(bar.low, price), price
            bar.cost += price * quantity
            bar.volume += quantity
        bar.trades = last - first
        return self._bar(bar)

    def summary(self, now: datetime, bid: BookLevel | None, ask: BookLevel | None) -> DaySummary:
        """Sum up the 24 hours and the UTC day that `now` ends; prices are 0 and `last` None before the first trade."""
        self._day.expire(_microseconds(now) * 1000)
        day, today, price, quantity = self._day, self._today(now), self._prices, self._quantities
        last = self._prints.total - 1
        return DaySummary(
            bid=bid,
            ask=ask,
            last=self.last_price,
            last_quantity=quantity.amount(self._prints.quantity(last) if last >= 0 else 0),
            open_today=price.amount(today.open),
            open=price.amount(day.open),
            high=price.amount(day.high),
            high_today=price.amount(today.high),
            low=price.amount(day.low),
            low_today=price.amount(today.low),
            volume=quantity.amount(day.volume),
            volume_today=quantity.amount(today.volume),
            vwap=price.mean(day.cost, day.volume),
            vwap_today=price.mean(today.cost, today.volume),
            trades=day.trades,
            trades_today=today.trades,
        )

    def _today(self, now: datetime) -> IncrementBar:
        """Return the UTC day of `now` so far; the last price all through where nothing has traded yet."""
        series, time = self._series[DAY_MINUTES], _microseconds(now)
        midnight = time - time % series.length
        newest = series.newest()
        if newest is None:
            return IncrementBar.without_trades(midnight, 0)
        if newest.opened >= midnight:
            return newest
        return IncrementBar.without_trades(midnight, newest.close)

    def _append(self, at: datetime, price: Decimal, quantity: Decimal, side: Side, order_type: str) -> int:
        time, price_count, quantity_count, kind = self._to_increments(
            at=at, price=price, quantity=quantity, side=side, order_type=order_type
        )
        self._day.make_room()
        number = self._prints.append(time, price_count, quantity_count, kind)
        self._day.add(number)
        time = self._prints.time(number) // 1000
        for series in self._series.values():
            series.add(time, price_count, quantity_count)
        return number

    def _begin(self, ticks: Sequence[Tick]) -> None:
        """Append one after the other, but many times faster: a sandbox begins with a week of them."""
        counted = [
            self._to_increments(
                at=tick.at,
                price=tick.price,
                quantity=tick.quantity,
                side=tick.side,
                order_type=tick.order_type,
            )
            for tick in ticks
        ]
        if not counted:
            return
        times, prices, quantities, kinds = zip(*counted, strict=True)
        self._prints.begin(times, prices, quantities, kinds)
        self._day.begin()
        moments = [self._prints.time(number) // 1000 for number in range(self._prints.total)]
        costs = list(map(mul, prices, quantities))
        for series in self._series.values():
            series.begin(moments, prices, quantities, costs)

    def _to_increments(
        self, at: datetime, price: Decimal, quantity: Decimal, side: Side, order_type: str
    ) -> tuple[int, int, int, int]:
        """Return it as `Prints` stores it. InvalidValue for what no tape could print."""
        kind = KIND_NUMBERS.get((side, order_type))
        if kind is None:
            raise InvalidValue(
                f"a print of {side!r} {order_type!r}: allowed are buy and sell, market and limit"
            )
        if not EPOCH <= at <= END:
            raise InvalidValue(f"a print of {self._pair} at {at}: allowed is {EPOCH:%Y} to {END:%Y}")
        return _microseconds(at) * 1000, self._prices.count(price), self._quantities.count(quantity), kind

    def _print(self, number: int) -> Print:
        side, order_type = KINDS[self._prints.kind(number)]
        return Print(
            pair=self._pair,
            trade_id=self._first_id + number,
            price=self._prices.amount(self._prints.price(number)),
            quantity=self._quantities.amount(self._prints.quantity(number)),
            side=side,
            order_type=order_type,
            at=EPOCH + timedelta(microseconds=self._prints.time(number) // 1000),
        )

    def _series_of(self, interval: int) -> BarSeries:
        try:
            return self._series[interval]
        except KeyError:
            allowed = ", ".join(map(str, INTERVALS))
            raise InvalidValue(f"interval {interval!r}: allowed are {allowed} minutes") from None

    def _bar(self, bar: IncrementBar) -> Bar:
        price = self._prices.amount
        return Bar(
            open_time=EPOCH + timedelta(microseconds=bar.opened),
            open=price(bar.open),
            high=price(bar.high),
            low=price(bar.low),
            close=price(bar.close),
            vwap=self._prices.mean(bar.cost, bar.volume),
            volume=self._quantities.amount(bar.volume),
            trades=bar.trades,
        )


def _microseconds(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND
