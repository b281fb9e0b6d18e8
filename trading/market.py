"""Pairs, timeframes, instruments, the universe, and the columns of a candle table."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum

import polars as pl

from trading.errors import InvalidValue

TIME = pl.Datetime("us", "UTC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Kraken's own codes, which people type too; everybody else, and everything here, says BTC and DOGE.
ALIASES = {"XBT": "BTC", "XDG": "DOGE"}
LONGEST_ASSET = 40  # letters: a pair is the name of a folder, too

CANDLE_SCHEMA = pl.Schema(
    {
        "open_time": TIME,
        "close_time": TIME,  # exclusive: the open time of the next candle on the grid
        "open": pl.Float64(),
        "high": pl.Float64(),
        "low": pl.Float64(),
        "close": pl.Float64(),
        "volume": pl.Float64(),  # base currency
        "origin": pl.String(),  # the venue that published it, or "simulated"
        "known_at": TIME,  # when we knew this row: its arrival, or of history its close; never before close_time
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """A base asset priced in a quote asset."""

    base: str
    quote: str

    @classmethod
    def parse(cls, text: str) -> "Pair":
        """Read `BTC/USDT` (people) or `BTC-USDT` (partition keys, folders); Kraken's XBT is BTC, its XDG DOGE."""
        first, separator, second = text.strip().upper().replace("-", "/").partition("/")
        base, quote = ALIASES.get(first, first), ALIASES.get(second, second)
        named = base.isalnum() and quote.isalnum() and max(len(base), len(quote)) <= LONGEST_ASSET
        if not (separator and named and base != quote):
            raise InvalidValue(f"{text[:100]!r} is not a pair: write it like BTC/USDT")
        return cls(base, quote)

    @property
    def key(self) -> str:
        return f"{self.base}-{self.quote}"

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"


class Timeframe(Enum):
    """Candle lengths; all divide the UTC day."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    def __init__(self, text: str) -> None:
        count, unit = int(text[:-1]), text[-1]
        self.duration = (
            count * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[unit]
        )

    def floor(self, time: datetime) -> datetime:
        """Return the open time of the candle that `time` lies in."""
        return time - (time - EPOCH) % self.duration

    def ceil(self, time: datetime) -> datetime:
        """Return the first open time that is not before `time`."""
        return time + (EPOCH - time) % self.duration

    @property
    def per_year(self) -> float:
        """Candles in a year of 365 days: crypto never closes."""
        return timedelta(days=365) / self.duration


class PairStatus(StrEnum):
    """Which orders the venue takes."""

    ONLINE = "online"
    CANCEL_ONLY = "cancel_only"
    POST_ONLY = "post_only"
    LIMIT_ONLY = "limit_only"
    REDUCE_ONLY = "reduce_only"
    MAINTENANCE = "maintenance"
    DELISTED = "delisted"


@dataclass(frozen=True, slots=True)
class Instrument:
    """The terms on which a venue trades one pair. Fees are shares of the traded value (0.004 = 0.40 %)."""

    pair: Pair
    price_increment: Decimal
    quantity_increment: Decimal
    minimum_quantity: Decimal  # base currency
    minimum_cost: Decimal  # quote currency
    taker_fee: Decimal
    maker_fee: Decimal
    status: PairStatus = PairStatus.ONLINE
    maximum_leverage: Decimal = Decimal(1)  # 1: the venue lends nothing for this pair

    def __post_init__(self) -> None:
        for name in ("price_increment", "quantity_increment"):
            if not getattr(self, name) > 0:
                raise InvalidValue(f"{self.pair}: {name} must be above zero")


@dataclass(frozen=True, slots=True)
class Universe:
    """The traded pairs, the asset that results are counted in, and the base candle."""

    pairs: tuple[Pair, ...]
    quote: str
    timeframe: Timeframe
    origin: str  # the venue that published the candles, or "simulated"

    @property
    def dataset(self) -> str:
        """Keeps real and simulated candles, and everything made from them, apart."""
        return f"{self.origin}-{self.timeframe.value}"

    def direct_pair(self, asset: str) -> Pair | None:
        """Return the pair that prices `asset` in the counting asset, None when only a detour does."""
        return next((pair for pair in self.pairs if pair == Pair(asset, self.quote)), None)


def month_of(time: datetime) -> date:
    """Return the first day of the UTC month that holds `time`."""
    return time.astimezone(UTC).date().replace(day=1)


def midnight(day: date) -> datetime:
    """Return the moment in UTC with which the day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def month_start(month: date) -> datetime:
    """Return midnight UTC of its first day."""
    return midnight(month.replace(day=1))


def next_month(month: date) -> date:
    """Return the first day of the month after."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def months_between(first: date, last: date) -> list[date]:
    """List every month from `first` to `last`, both included."""
    months = [first.replace(day=1)]
    while months[-1] < last.replace(day=1):
        months.append(next_month(months[-1]))
    return months if first <= last else []
