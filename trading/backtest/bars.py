"""The candles that a back-test walks through, as arrays that are checked once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.errors import InvalidCandles
from trading.market import EPOCH

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MIN_PRICE, MAX_PRICE = 1e-18, 1e18  # as risk has it: beyond them products overflow
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Closed candles, each (n,), ascending. `open_time` is microseconds since 1970-01-01 UTC.

    Raises InvalidCandles naming the first candle that cannot be: no candle at all, times that do not ascend or
    that are twice there, a price that is not a finite number above zero, a high or low inside open and close.
    """

    open_time: Times
    open: Array
    high: Array
    low: Array
    close: Array
    length: int = 0  # microseconds that a candle lasts; 0 stands for the smallest distance between two opens

    def __post_init__(self) -> None:
        _set(self, "open_time", np.ascontiguousarray(self.open_time, np.int64))
        for name in PRICES:
            _set(self, name, np.ascontiguousarray(getattr(self, name), np.float64))
        _check_shapes(self)
        distances = np.diff(self.open_time)
        _check_order(self.open_time, distances)
        _check_prices(self)
        nearest = int(distances.min()) if distances.size else self.length
        if not 0 <= self.length <= nearest:
            raise InvalidCandles(f"candles of {self.length} us cannot open {nearest} us after one another")
        _set(self, "length", self.length or nearest)

    @classmethod
    def of(cls, candles: pl.DataFrame) -> "Bars":
        """Read a table with open_time (UTC), open, high, low and close, as CANDLE_SCHEMA has them; close_time helps."""
        missing = [name for name in ("open_time", *PRICES) if name not in candles.columns]
        if missing:
            raise InvalidCandles(
                f"candles lack {', '.join(missing)}: a back-test needs open_time and four prices"
            )
        unknown = candles["open_time"].null_count()
        if unknown:
            raise InvalidCandles(f"{unknown} of {candles.height} candles have no open time")
        prices = {name: candles[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in PRICES}
        return cls(candles["open_time"].dt.epoch("us").to_numpy(), **prices, length=_length(candles))

    @classmethod
    def of_trades(cls, time: Times, price: Array) -> "Bars":
        """Make the finest path there is: one candle per moment (microseconds, ascending) at which somebody traded."""
        if time.ndim != 1 or time.shape != price.shape or not time.size:
            raise InvalidCandles(
                f"trades have {time.shape} times and {price.shape} prices: one each, at least one"
            )
        first = np.flatnonzero(np.append(True, np.diff(time) != 0))
        last = np.append(first[1:], time.size) - 1
        high, low = np.maximum.reduceat(price, first), np.minimum.reduceat(price, first)
        return cls(time[first], price[first], high, low, price[last])

    def __len__(self) -> int:
        return self.open_time.size


def utc(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=int(microseconds))


def _length(candles: pl.DataFrame) -> int:
    """Return how long the first candle lasts; 0 when the table does not say."""
    if candles.is_empty() or "close_time" not in candles.columns:
        return 0
    length: timedelta = candles["close_time"][0] - candles["open_time"][0]
    return length // timedelta(microseconds=1)


def _set(bars: Bars, name: str, value: Array | Times | int) -> None:
    object.__setattr__(bars, name, value)


def _check_shapes(bars: Bars) -> None:
    shapes = {name: getattr(bars, name).shape for name in ("open_time", *PRICES)}
    if len(set(shapes.values())) > 1 or bars.open_time.ndim != 1:
        raise InvalidCandles(f"candles need one row each in every column, these have {shapes}")
    if not bars.open_time.size:
        raise InvalidCandles("no candles: there is nothing to trade on")


def _check_order(times: Times, distances: Times) -> None:
    if (distances <= 0).any():
        row = int((distances <= 0).argmax()) + 1
        what = "is there twice" if distances[row - 1] == 0 else f"comes after {utc(times[row - 1])}"
        raise InvalidCandles(f"candle {row} at {utc(times[row])} {what}: sort them and keep each once")


def _check_prices(bars: Bars) -> None:
    """Raise InvalidCandles for an impossible price; rows are searched only when something is wrong."""
    if bool(
        (bars.low >= MIN_PRICE).all()
        & (bars.high <= MAX_PRICE).all()
        & (bars.low <= np.minimum(bars.open, bars.close)).all()
        & (bars.high >= np.maximum(bars.open, bars.close)).all()
    ):
        return  # NaN fails every comparison
    for rule, broken in _find_impossible(bars).items():
        if broken.any():
            row = int(broken.argmax())
            prices = ", ".join(f"{name} {getattr(bars, name)[row]}" for name in PRICES)
            raise InvalidCandles(f"candle {row} at {utc(bars.open_time[row])}: {rule} ({prices})")


def _find_impossible(bars: Bars) -> Mapping[str, Mask]:
    prices = np.stack([getattr(bars, name) for name in PRICES])
    return {
        "a price is not a finite number": ~np.isfinite(prices).all(axis=0),
        "a price is not above zero": (prices <= 0).any(axis=0),
        "a price is no price of anything": ((prices < MIN_PRICE) | (prices > MAX_PRICE)).any(axis=0),
        "the high is below another price": bars.high < prices.max(axis=0),
        "the low is above another price": bars.low > prices.min(axis=0),
    }
