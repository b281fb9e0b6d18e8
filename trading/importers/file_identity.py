"""Venue, pair and timeframe of a file: flags, content and name have to agree, and at least one has to name each."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import polars as pl

from trading.candles import off_grid
from trading.errors import InvalidCandles
from trading.importers.derivatives import refuse_derivative
from trading.importers.file_names import (
    PartialIdentity,
    identity_from_name,
    pair_from_symbol,
    venue_from_folder,
)
from trading.importers.raw_candles import FileFormat, RawCandles
from trading.importers.row_checks import MAX_QUARANTINED
from trading.market import Pair, Timeframe

Value = TypeVar("Value", str, Pair, Timeframe)

# A market that is quiet most of the time shows candles on a coarser grid by chance; at longer odds than these the
# candles are coarser. Taking an hour for five minutes would make its close known 55 minutes early.
MAX_ODDS = 1e5


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Whose candles a file holds."""

    venue: str
    pair: Pair
    timeframe: Timeframe


def identify(path: Path, file_format: FileFormat, raw: RawCandles, flags: PartialIdentity) -> FileIdentity:
    """Find out whose candles these are.

    InvalidCandles, naming the flag to give, when flag, content and name contradict each other or none names it.
    """
    refuse_derivative(path, raw.symbols)
    name = identity_from_name(path)
    venue = _venue(file_format.VENUE, flags.venue, name.venue, venue_from_folder(path))
    return FileIdentity(
        venue,
        _agree("--pair", flags.pair, _pair(raw), name.pair),
        _timeframe(raw, flags.timeframe, name.timeframe),
    )


def _venue(native: str | None, flag: str | None, name: str | None, folder: str | None) -> str:
    """Branches of a venue (binanceus) share its format, so the name need only begin with the format's venue."""
    venue = flag.lower() if flag else None
    named = venue or name
    if native and named and named.startswith(native):
        native = named
    if named or native:
        return _agree("--venue", venue, native, name)
    return _agree("--venue", None, folder, None)


def _pair(raw: RawCandles) -> Pair | None:
    if len(raw.symbols) > 1:
        raise InvalidCandles(
            f"holds several symbols ({', '.join(raw.symbols[:5])}): split it, one pair per file"
        )
    return pair_from_symbol(raw.symbols[0]) if raw.symbols else None


def _timeframe(raw: RawCandles, flag: Timeframe | None, name: Timeframe | None) -> Timeframe:
    """Flag, then name, then content: a thin market's rows lie several candles apart, which says little."""
    opens = raw.numbers["open_time"].drop_nulls().unique().sort()
    step = _usual_step(opens)
    content = next((frame for frame in Timeframe if frame.duration == step), None)
    named = flag or name
    refuted = flag is not None and name is not None and name == content  # two against one
    if named and not refuted and _fits(opens, named):
        return named
    if step is not None and content is None:
        known = ", ".join(frame.value for frame in Timeframe)
        raise InvalidCandles(
            f"rows are {step} apart, which is no known timeframe ({known}): resample it first"
        )
    return _agree("--timeframe", flag, content, name)


def _usual_step(opens: pl.Series) -> timedelta | None:
    """Return the most common distance between open times, the shortest of them when several are."""
    distances: Counter[timedelta] = Counter(opens.diff().drop_nulls().to_list())
    return min(distances, key=lambda distance: (-distances[distance], distance), default=None)


def _fits(opens: pl.Series, frame: Timeframe) -> bool:
    """Return whether the rows can be candles of that length: on its grid, and not on a coarser one beyond chance."""
    if _share_on_grid(opens, frame) < 1 - MAX_QUARANTINED:
        return False
    coarser = [other for other in Timeframe if other.duration > frame.duration]
    return not any(
        (other.duration / frame.duration) ** min(len(opens), 64) > MAX_ODDS
        and _share_on_grid(opens, other) == 1
        for other in coarser
    )


def _share_on_grid(opens: pl.Series, frame: Timeframe) -> float:
    on_grid = opens.to_frame("open_time").select(~off_grid(frame)).to_series()
    return float(on_grid.mean() or 0)  # type: ignore[arg-type]  # the mean of booleans is a share


def _agree(option: str, flag: Value | None, content: Value | None, name: Value | None) -> Value:
    sources = [
        (word, value)
        for word, value in (
            (f"{option} says", flag),
            ("the content says", content),
            ("the file name says", name),
        )
        if value is not None
    ]
    if not sources:
        raise InvalidCandles(f"neither content nor file name says it: give {option}")
    named = sources[0][1]
    against = [pair for pair in sources[1:] if pair[1] != named]
    if against and not (flag is not None and flag == content):
        texts = " but ".join(f"{word} {_text(value)}" for word, value in [sources[0], against[0]])
        raise InvalidCandles(f"{texts}: {_advice(option, flag is not None)}")
    return named


def _advice(option: str, given: bool) -> str:
    return f"correct or drop {option}, or rename the file" if given else f"give {option} with what is true"


def _text(value: str | Pair | Timeframe) -> str:
    return value.value if isinstance(value, Timeframe) else str(value)
