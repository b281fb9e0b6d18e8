"""Self-contained HTML pages: no script, no reference to anything outside the file."""

import io
from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1c2733}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}
@media(max-width:66rem){table{display:block;overflow-x:auto}}
td,th{padding:.25rem .75rem;border-bottom:1px solid #dde3ea;text-align:right;font-variant-numeric:tabular-nums}
td:first-child,th:first-child{text-align:left}td{white-space:nowrap}
.words{width:100%;font-size:13.5px}.words td,.words th{padding:.25rem .5rem}
.words td:last-child,.words th:last-child{text-align:left;white-space:normal;min-width:14rem}
pre{background:#f5f7fa;padding:1rem;overflow-x:auto;font-size:12.5px}
figure{margin:0 0 1rem}svg{width:100%;height:auto}.note{color:#5a6b7b}
.figures{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0 1.5rem}
.figures div{flex:1;min-width:9rem;padding:.6rem .9rem;background:#f5f7fa;border-radius:.5rem}
.figures span{display:block;font-size:13px;color:#5a6b7b}.figures b{font-size:19px;font-weight:600}
details{margin:.25rem 0;border-bottom:1px solid #dde3ea}summary{cursor:pointer;padding:.35rem 0}
h2{margin:2rem 0 .5rem;font-size:20px}a{color:#1d4ed8}
.scroll{max-height:32rem;overflow:auto}.scroll th{position:sticky;top:0;background:#fff}
"""


def page(title: str, parts: Sequence[str]) -> str:
    """Assemble a page; `parts` are HTML already, the title is not."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "</html>\n"
    )


def heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, *, note: bool = False) -> str:
    kind = ' class="note"' if note else ""
    return f"<p{kind}>{escape(text)}</p>"


def bullets(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def preformatted(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def folded(summary: str, parts: Sequence[str]) -> str:
    """Show `summary`; the parts, HTML already, unfold on a click."""
    return f"<details><summary>{escape(summary)}</summary>" + "\n".join(parts) + "</details>"


def link(text: str, address: str) -> str:
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def links(pairs: Sequence[tuple[str, str]], before: str = "") -> str:
    """Write a line of links, (text, address) each, after the words `before`."""
    return f"<p>{escape(before)}{' · '.join(link(*pair) for pair in pairs)}</p>" if pairs else ""


def figures(values: Sequence[tuple[str, str]]) -> str:
    """Write the few numbers that matter in large type, (what, value) each."""
    cells = "".join(f"<div><span>{escape(what)}</span><b>{escape(value)}</b></div>" for what, value in values)
    return f'<div class="figures">{cells}</div>'


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, scrolls: bool = False, ends_in_words: bool = False
) -> str:
    """Render a table of numbers; where it `ends_in_words`, the last column is a sentence that may wrap."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    kind = ' class="words"' if ends_in_words else ""
    whole = f"<table{kind}><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{whole}</div>' if scrolls else whole


def shaded_table(head: Sequence[str], rows: Sequence[Sequence[float | str | None]], scale: float) -> str:
    """Render shares as percent on green or red; `scale` is the share at which the colour is full."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(_shaded_cell(value, scale) for value in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _shaded_cell(value: float | str | None, scale: float) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    strength = min(abs(value) / scale, 1.0) * 0.6
    colour = f"rgba(46,160,67,{strength:.2f})" if value >= 0 else f"rgba(218,54,51,{strength:.2f})"
    return f'<td style="background:{colour}">{100 * value:+.1f}</td>'


def chart(
    title: str,
    x: Sequence[Any],
    lines: Mapping[str, Sequence[float]],
    *,
    fill: bool = False,
    height: float = 3.0,
) -> str:
    """Draw lines over time as inline SVG; `fill` paints the area to zero, as drawdowns are drawn."""
    from matplotlib.figure import Figure  # half a second: only where a chart is drawn

    drawing = Figure(figsize=(10, height))
    below, above = 0.35 / height, 0.3 / height  # inches for the labels, whatever the height
    axes = drawing.add_axes((0.07, below, 0.91, 1 - below - above))
    for label, values in lines.items():
        if fill:
            axes.fill_between(list(x), list(values), 0.0, alpha=0.5, linewidth=0, label=label)
        else:
            axes.plot(list(x), list(values), linewidth=1.0, label=label)
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(alpha=0.25)
    axes.margins(x=0)
    if isinstance(next(iter(x), None), date):
        time_axis(axes)
    if len(lines) > 1:
        axes.legend(fontsize=9, frameon=False)
    return figure(drawing)


def time_axis(axes: Any) -> None:
    """Write dates as short as they can be read, none over another."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]  # matplotlib has no types for it
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(  # type: ignore[no-untyped-call]
            locator,
            formats=["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%S"],
            zero_formats=["", "%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M"],
            show_offset=False,
        )
    )
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes.tick_params(labelsize=8)


def figure(drawing: Any) -> str:
    """Render a matplotlib figure as inline SVG."""
    return f"<figure>{_svg(drawing)}</figure>"


def _svg(drawing: Any) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    # Text stays text, and no date and no random ids: the same report gives the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "marketloom"}):
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
