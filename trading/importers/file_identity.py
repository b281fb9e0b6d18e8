"""Whose candles a file holds: flags, content and name have to agree, and at least one has to say."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from trading.candles import TRADED_CANDLES_ONLY
from trading.errors import InvalidCandles
from trading.importers.file_names import Claims, claims_of_name, pair_of_symbol, venue_of_folder
from trading.importers.raw_candles import Format, RawCandles
from trading.market import Pair, Timeframe

Claim = TypeVar("Claim", str, Pair, Timeframe)


@dataclass(frozen=True, slots=True)
class Identity:
    venue: str
    pair: Pair
    timeframe: Timeframe


def identify(path: Path, form: Format, raw: RawCandles, flags: Claims) -> Identity:
    """InvalidCandles, naming the flag to give, when witnesses contradict each other or all are silent."""
    name = claims_of_name(path)
    venue = _venue(form.VENUE, flags.venue, name.venue, venue_of_folder(path))
    return Identity(
        venue,
        _settle("--pair", flags.pair, _pair(raw), name.pair),
        _timeframe(raw, venue, flags.timeframe, name.timeframe),
    )


def _venue(native: str | None, flag: str | None, name: str | None, folder: str | None) -> str:
    """Sisters of a venue (binance, binanceus) share its format, so that has to be only the beginning."""
    venue = flag.lower() if flag else None
    said = venue or name
    if native and said and said.startswith(native):
        native = said
    return (
        _settle("--venue", venue, native, name)
        if (said or native)
        else _settle("--venue", None, folder, None)
    )


def _pair(raw: RawCandles) -> Pair | None:
    if len(raw.symbols) > 1:
        raise InvalidCandles(
            f"holds several symbols ({', '.join(raw.symbols[:5])}): split it, one pair per file"
        )
    return pair_of_symbol(raw.symbols[0]) if raw.symbols else None


def _timeframe(raw: RawCandles, venue: str, flag: Timeframe | None, name: Timeframe | None) -> Timeframe:
    step = _step(raw)
    content = next((frame for frame in Timeframe if frame.duration == step), None)
    said = flag or name
    if step is not None and content is None and not _thinned(step, said, venue):
        known = ", ".join(frame.value for frame in Timeframe)
        raise InvalidCandles(
            f"rows are {step} apart, which is no known timeframe ({known}): resample it first"
        )
    return _settle("--timeframe", flag, content, name)


def _thinned(step: timedelta, said: Timeframe | None, venue: str) -> bool:
    """A few candles of a quiet market may all lie several windows apart: then name or flag must say it."""
    return said is not None and venue in TRADED_CANDLES_ONLY and not step % said.duration


def _step(raw: RawCandles) -> timedelta | None:
    """The most common distance between open times, the shortest of them when several are."""
    opens = raw.numbers["open_time"].drop_nulls().unique().sort()
    distances: Counter[timedelta] = Counter(opens.diff().drop_nulls().to_list())
    return min(distances, key=lambda distance: (-distances[distance], distance), default=None)


def _settle(option: str, flag: Claim | None, content: Claim | None, name: Claim | None) -> Claim:
    witnesses = [
        (word, claim)
        for word, claim in (
            (f"{option} says", flag),
            ("the content says", content),
            ("the file name says", name),
        )
        if claim is not None
    ]
    if not witnesses:
        raise InvalidCandles(f"neither content nor file name says it: give {option}")
    said = witnesses[0][1]
    against = [pair for pair in witnesses[1:] if pair[1] != said]
    if against and not (flag is not None and flag == content):
        spoken = " but ".join(f"{word} {_text(claim)}" for word, claim in [witnesses[0], against[0]])
        raise InvalidCandles(f"{spoken}: {_advice(option, flag is not None)}")
    return said


def _advice(option: str, given: bool) -> str:
    return f"correct or drop {option}, or rename the file" if given else f"give {option} with what is true"


def _text(claim: str | Pair | Timeframe) -> str:
    return claim.value if isinstance(claim, Timeframe) else str(claim)
