"""The first difference between what a decision was given and what is there now, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ml.decision.plain_json import to_json_value

PRICES = ("close_time", "open", "high", "low", "close", "volume")
JUDGEMENTS = ("known_at", "score", "confidence", "prompt_hash")
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Difference:
    """`input` names what differs; None on a side says that it has nothing there."""

    input: str
    recorded: Any
    now: Any

    def __str__(self) -> str:
        recorded, now = (NOTHING if each is None else each for each in (self.recorded, self.now))
        return f"{self.input}: {recorded} recorded, {now} now"


def candle_difference(name: str, recorded: pl.DataFrame, now: pl.DataFrame) -> Difference | None:
    """Return the first candle whose numbers differ; how it became known does not count.

    Where one is missing now, an older one has come into the window for it: that one is no news.
    """
    words, key = f"candle of {name}", ("open_time",)
    same_span = now if recorded.is_empty() else now.filter(pl.col("open_time") >= recorded["open_time"][0])
    return _row_difference(words, recorded, same_span, key, PRICES) or _row_difference(
        words, recorded, now, key, PRICES
    )


def news_difference(recorded: pl.DataFrame, now: pl.DataFrame) -> Difference | None:
    """Return the first article that is judged otherwise."""
    return _row_difference(
        "judgement of article", recorded, now, ("article_id", "asset", "model"), JUDGEMENTS
    )


def _row_difference(
    name: str, recorded: pl.DataFrame, now: pl.DataFrame, keys: Sequence[str], columns: Sequence[str]
) -> Difference | None:
    both = [each.select(*keys, *columns) for each in (recorded, now)]
    if both[0].equals(both[1]):
        return None
    ours, theirs = ({row[: len(keys)]: row[len(keys) :] for row in each.iter_rows()} for each in both)
    for key in sorted({*ours, *theirs}):
        before, after = ours.get(key), theirs.get(key)
        if before != after:
            words = f"{name} {' '.join(str(to_json_value(part)) for part in key)}"
            return _cell_difference(words, columns, before, after)
    return Difference(f"order of the rows, {name}", None, None)


def _cell_difference(
    name: str, columns: Sequence[str], before: tuple[Any, ...] | None, after: tuple[Any, ...] | None
) -> Difference:
    """Name the first column that differs; a row that one side does not have is shown whole."""
    if before is None or after is None:
        shown = (each and dict(zip(columns, to_json_value(each), strict=True)) for each in (before, after))
        return Difference(name, *shown)
    at = next(place for place, (one, other) in enumerate(zip(before, after, strict=True)) if one != other)
    return Difference(f"{name}, {columns[at]}", to_json_value(before[at]), to_json_value(after[at]))


def value_difference(name: str, recorded: Any, now: Any) -> Difference | None:
    """Return the first leaf of two plain JSON values that differs, named by its path below `name`."""
    if recorded == now and type(recorded) is type(now):
        return None
    if isinstance(recorded, Mapping) and isinstance(now, Mapping):
        keys: Iterator[str] = iter(sorted({*recorded, *now}))
        found = (value_difference(f"{name}.{key}", recorded.get(key), now.get(key)) for key in keys)
        return next((each for each in found if each is not None), None)
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        found = (
            value_difference(f"{name}[{place}]", *each)
            for place, each in enumerate(zip(recorded, now, strict=True))
        )
        return next((each for each in found if each is not None), None)
    return Difference(name, recorded, now)
