"""Candles with the trades on them, as inline SVG: entries, stops, targets and exits where they fell."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from assets.html_page import figure, time_axis

RISES, FALLS, ENTRY, STOP, TARGET = "#2a9d64", "#d1495b", "#1d4ed8", "#d1495b", "#2a9d64"


@dataclass(frozen=True, slots=True)
class Mark:
    """A position from its entry to its exit; `exit_price` None while it is open at the end."""

    entered_at: datetime
    entry_price: float
    is_long: bool
    stop: float | None
    target: float | None
    exited_at: datetime
    exit_price: float | None


def price_chart(title: str, candles: pl.DataFrame, marks: Sequence[Mark], *, since: datetime) -> str:
    """Draw the candles; what lies before `since`, the first decision, is shaded."""
    from matplotlib.figure import Figure  # half a second: only where a chart is drawn

    drawing = Figure(figsize=(10, 3.4))
    axes: Any = drawing.add_axes((0.07, 0.1, 0.91, 0.8))
    _draw_candles(axes, candles)
    for mark in marks:
        _draw_mark(axes, mark)
    axes.axvspan(candles["open_time"][0], since, color="#5a6b7b", alpha=0.08, linewidth=0)
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(alpha=0.25)
    axes.margins(x=0)
    time_axis(axes)
    _draw_legend(axes, marks)
    return figure(drawing)


def _draw_candles(axes: Any, candles: pl.DataFrame) -> None:
    width = (candles["close_time"][0] - candles["open_time"][0]) * 0.7
    middle = candles["open_time"] + (candles["close_time"][0] - candles["open_time"][0]) / 2
    for colour, chosen in (
        (RISES, pl.col("close") >= pl.col("open")),
        (FALLS, pl.col("close") < pl.col("open")),
    ):
        rows = candles.with_columns(middle=middle).filter(chosen)
        times = rows["middle"].to_list()
        axes.vlines(times, rows["low"].to_list(), rows["high"].to_list(), color=colour, linewidth=0.7)
        bodies = (rows["close"] - rows["open"]).to_list()
        axes.bar(times, bodies, bottom=rows["open"].to_list(), width=_days(width), color=colour, linewidth=0)


def _draw_mark(axes: Any, mark: Mark) -> None:
    for level, colour in ((mark.stop, STOP), (mark.target, TARGET)):
        if level is not None:
            axes.hlines(level, mark.entered_at, mark.exited_at, color=colour, linewidth=1.2, linestyle="--")
    shape = "^" if mark.is_long else "v"
    axes.plot(
        mark.entered_at, mark.entry_price, marker=shape, color=ENTRY, markersize=9, markeredgecolor="white"
    )
    if mark.exit_price is not None:
        axes.plot(
            mark.exited_at,
            mark.exit_price,
            marker="X",
            color="#1c2733",
            markersize=8,
            markeredgecolor="white",
        )


def _draw_legend(axes: Any, marks: Sequence[Mark]) -> None:
    from matplotlib.lines import Line2D

    if not marks:
        return
    kinds: list[tuple[str, str, str, Any]] = [
        *([("long entry", "^", ENTRY, "")] if any(mark.is_long for mark in marks) else []),
        *([("short entry", "v", ENTRY, "")] if any(not mark.is_long for mark in marks) else []),
        *([("exit", "X", "#1c2733", "")] if any(mark.exit_price is not None for mark in marks) else []),
        ("stop", "", STOP, "--"),
        ("target", "", TARGET, "--"),
    ]
    lines = [Line2D([], [], marker=shape, color=colour, linestyle=style) for _, shape, colour, style in kinds]
    axes.legend(
        lines,
        [kind[0] for kind in kinds],
        fontsize=8,
        frameon=False,
        ncols=len(kinds),
        loc="lower right",
        bbox_to_anchor=(1, 0.98),
    )


def _days(width: timedelta) -> float:
    return width / timedelta(days=1)
