"""Small pictures for asset metadata: vector drawings inside markdown, so short that Dagster shows them unasked.

Dagster's UI hides markdown of 1,000 characters or more behind a button: a drawing has as many points as fit below.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import isfinite
from typing import Any
from urllib.parse import quote

import dagster as dg
import polars as pl

SHOWN_LENGTH = 999  # characters of markdown that the UI shows without a click
WIDTH, TOP, BOTTOM, HEIGHT = 480, 20, 128, 146
COLOURS = ("#07c", "#e70", "#888", "#2a4")
MAX_SHADES = 4  # the longest; a table beside the picture has them all
# Points of each line, fewer until the picture is short enough.
POINTS = (120, 90, 70, 55, 45, 36, 30, 24, 18, 14, 10, 8, 6)
KEPT = "!$&'*+,-./:;=?@_~"  # characters of a drawing that may stand in a markdown address as they are

Points = Sequence[tuple[float, float]]


def line_plot(
    title: str,
    x: Sequence[Any],
    lines: Mapping[str, Sequence[float]],
    *,
    shaded: Sequence[tuple[Any, Any]] = (),
) -> dg.MarkdownMetadataValue:
    """Draw one chart; `shaded` marks stretches of x, such as gaps. Values that are no numbers are left out."""
    drawing = _Drawing(x, lines, shaded)
    pictures = (f"![{title}](data:image/svg+xml,{quote(drawing.svg(count), KEPT)})" for count in POINTS)
    return dg.MetadataValue.md(next((each for each in pictures if len(each) <= SHOWN_LENGTH), title))


def price_plot(
    title: str, candles: pl.DataFrame, gaps: Sequence[tuple[datetime, datetime]]
) -> dg.MarkdownMetadataValue:
    """Draw closes over time, gaps in red."""
    return line_plot(
        title, candles["open_time"].to_list(), {"close": candles["close"].to_list()}, shaded=gaps
    )


class _Drawing:
    """One chart in pixels: highest value above, lowest below, and the first and last x at the two lower corners."""

    def __init__(
        self, x: Sequence[Any], lines: Mapping[str, Sequence[float]], shaded: Sequence[tuple[Any, Any]]
    ) -> None:
        self._ends = _labels(x)
        places = [_number(each) for each in x]
        self._lines = {
            name: [(at, value) for at, value in zip(places, values, strict=True) if isfinite(value)]
            for name, values in lines.items()
        }
        values = [value for line in self._lines.values() for _, value in line] or [0.0]
        self._low, self._high = min(values), max(values)
        self._first, self._last = (min(places), max(places)) if places else (0.0, 0.0)
        longest = sorted(shaded, key=lambda stretch: stretch[0] - stretch[1])[:MAX_SHADES]
        self._shaded = [(_number(start), _number(end)) for start, end in longest]

    def svg(self, count: int) -> str:
        """Draw with at most about `count` points of each line."""
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' fill='#888' "
            "style='font:11px sans-serif'>" + "".join(self._parts(count)) + "</svg>"
        )

    def _parts(self, count: int) -> Iterator[str]:
        if self._shaded:
            yield f"<path fill='#fbb' d='{''.join(map(self._stretch, self._shaded))}'/>"
        for colour, line in zip(COLOURS, self._lines.values(), strict=False):
            yield f"<path fill='none' stroke='{colour}' d='{self._path(thinned(line, count))}'/>"
        names = [
            f"<tspan fill='{colour}'>{name}</tspan>"
            for colour, name in zip(COLOURS, self._lines, strict=False)
        ]
        yield f"<text y='11'>high {short_number(self._high)} {' '.join(names)}</text>"
        first, last = self._ends
        yield f"<text y='142'>{first}</text><text x='200' y='142'>low {short_number(self._low)}</text>"
        yield f"<text x='{WIDTH}' y='142' text-anchor='end'>{last}</text>"

    def _stretch(self, stretch: tuple[float, float]) -> str:
        start, end = (self._column(min(max(each, self._first), self._last)) for each in stretch)
        return f"M{start},{TOP}h{max(1, end - start)}V{BOTTOM}H{start}"

    def _path(self, points: Points) -> str:
        """Draw in steps from point to point: they need fewer characters than places."""
        pixels = _without_level_middles([(self._column(at), self._row(value)) for at, value in points])
        if not pixels:
            return ""
        steps = [f"{x - before_x},{y - before_y}" for (before_x, before_y), (x, y) in pairwise(pixels)]
        return f"M{pixels[0][0]},{pixels[0][1]}l" + ",".join(steps or ["9,0"]).replace(",-", "-")

    def _column(self, at: float) -> int:
        return round(WIDTH * (at - self._first) / ((self._last - self._first) or 1))

    def _row(self, value: float) -> int:
        share = (value - self._low) / (self._high - self._low) if self._high > self._low else 0.5
        return round(BOTTOM - (BOTTOM - TOP) * share)


def thinned(points: Points, count: int) -> Points:
    """Return about `count` of the points: both ends, and the lowest and highest of each stretch, so none is lost."""
    if len(points) <= count:
        return points
    stretches = max(count // 2, 1)
    bounds = [len(points) * number // stretches for number in range(stretches + 1)]
    kept = {points[0], points[-1]}
    for start, end in pairwise(bounds):
        part = points[start:end]
        kept |= {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
    return sorted(kept)


def _without_level_middles(pixels: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out the points that lie level between their neighbours: nobody sees them."""
    middles = {
        number
        for number in range(1, len(pixels) - 1)
        if pixels[number - 1][1] == pixels[number][1] == pixels[number + 1][1]
    }
    return [pixel for number, pixel in enumerate(pixels) if number not in middles]


def short_number(value: float) -> str:
    """Write a number in five digits at most, without an exponent where people write none."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.5g}"


def _labels(x: Sequence[Any]) -> tuple[str, str]:
    """Name the two ends of x: days, or minutes where all lies within two days."""
    if not x:
        return "", ""
    first, last = min(x), max(x)
    if isinstance(first, datetime):
        form = "%m-%d %H:%M" if last - first < timedelta(days=2) else "%Y-%m-%d"
        return first.strftime(form), last.strftime(form)
    return (str(first), str(last)) if isinstance(first, date) else (f"{first:,}", f"{last:,}")


def _number(at: Any) -> float:
    """Return the place on x as a number: seconds for times."""
    if isinstance(at, datetime):
        return at.timestamp()
    return at.toordinal() * 86_400.0 if isinstance(at, date) else float(at)
