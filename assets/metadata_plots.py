"""Small pictures for asset metadata: PNG of a few kilobytes inside markdown, as they live in the event log."""

import base64
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl

POINTS = 400  # more cannot be told apart at this size


def line_plot(
    title: str,
    x: Sequence[Any],
    lines: Mapping[str, Sequence[float]],
    *,
    shaded: Sequence[tuple[Any, Any]] = (),
) -> dg.MarkdownMetadataValue:
    """Draw one chart; `shaded` marks stretches of x, such as gaps."""
    from matplotlib.figure import Figure  # half a second: only where a plot is drawn

    figure = Figure(figsize=(6, 2.4), dpi=80)
    axes = figure.add_axes(
        (0.1, 0.13, 0.88, 0.76)
    )  # laid out by hand: the automatic layouts take most of the time
    for label, values in lines.items():
        axes.plot(list(x), list(values), linewidth=0.9, label=label)
    for start, end in shaded:
        axes.axvspan(start, end, color="tab:red", alpha=0.5, linewidth=0.5)
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=7)
    if len(lines) > 1:
        axes.legend(fontsize=7, frameon=False)
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{_png(figure)})")


def price_plot(
    title: str, candles: pl.DataFrame, gaps: Sequence[tuple[datetime, datetime]]
) -> dg.MarkdownMetadataValue:
    """Draw closes over time, gaps in red."""
    thin = candles.gather_every(max(1, candles.height // POINTS))
    return line_plot(title, thin["open_time"].to_list(), {"close": thin["close"].to_list()}, shaded=gaps)


def _png(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()
