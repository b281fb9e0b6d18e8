"""One stretch of time and what traded in it: built trade by trade, and joined to longer stretches."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from streaming.events import Trade

ORDER = tuple[datetime, int]  # of trades: by time, those of one moment by their id or their arrival


def exact(quantity: float) -> Decimal:
    """Return the shortest decimal that is this float: what the venue wrote."""
    return Decimal(repr(quantity))


class Bar(Struct, array_like=True):
    """The trades of [open_time, open_time + length). Nothing is known here of whether they are all."""

    open_time: datetime
    length: timedelta
    open: float
    high: float
    low: float
    close: float
    volume: Decimal  # base currency
    trades: int | None
    first: ORDER  # of the trade that opens it
    last: ORDER
    numbered: bool = True  # its trades have ids; first and last hold them
    confirmed: bool = False  # the venue's own numbers, not those of its trades

    @property
    def end(self) -> datetime:
        return self.open_time + self.length

    @property
    def last_at(self) -> datetime:
        return self.last[0]

    def add(self, trade: Trade, order: ORDER) -> None:
        """Add a trade of this stretch, in any order."""
        price = trade.price
        if price > self.high:
            self.high = price
        if price < self.low:
            self.low = price
        if order >= self.last:
            self.close, self.last = price, order
        elif order < self.first:
            self.open, self.first = price, order
        self.volume += exact(trade.quantity)
        self.trades = (self.trades or 0) + 1


def bar_of(trade: Trade, order: ORDER, open_time: datetime, length: timedelta) -> Bar:
    """Begin a bar with its first trade."""
    price = trade.price
    return Bar(
        open_time=open_time,
        length=length,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=exact(trade.quantity),
        trades=1,
        first=order,
        last=order,
        numbered=trade.trade_id is not None,
    )


def join(bars: Sequence[Bar], open_time: datetime, length: timedelta) -> Bar:
    """Return one bar of these, which are at least one, in order, and each with a trade."""
    counts = [bar.trades for bar in bars]
    return Bar(
        open_time=open_time,
        length=length,
        open=bars[0].open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=bars[-1].close,
        volume=sum((bar.volume for bar in bars), Decimal(0)),
        trades=None if None in counts else sum(count or 0 for count in counts),
        first=bars[0].first,
        last=bars[-1].last,
        numbered=all(bar.numbered for bar in bars),
        confirmed=any(bar.confirmed for bar in bars),
    )
