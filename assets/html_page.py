"""Self-contained HTML pages: no script, no reference to anything outside the file."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1c2733}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{padding:.25rem .75rem;border-bottom:1px solid #dde3ea;text-align:right;font-variant-numeric:tabular-nums}
td:first-child,th:first-child{text-align:left}
pre{background:#f5f7fa;padding:1rem;overflow-x:auto;font-size:12.5px}
figure{margin:0 0 1rem}svg{max-width:100%;height:auto}.note{color:#5a6b7b}
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


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, scrolls: bool = False) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    whole = f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
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

    figure = Figure(figsize=(10, height))
    below, above = 0.35 / height, 0.3 / height  # inches for the labels, whatever the height
    axes = figure.add_axes((0.07, below, 0.92, 1 - below - above))
    for label, values in lines.items():
        if fill:
            axes.fill_between(list(x), list(values), 0.0, alpha=0.5, linewidth=0, label=label)
        else:
            axes.plot(list(x), list(values), linewidth=1.0, label=label)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.margins(x=0)
    if len(lines) > 1:
        axes.legend(fontsize=9, frameon=False)
    return f"<figure>{_svg(figure)}</figure>"


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    buffer = io.StringIO()
    # Text stays text, and no date and no random ids: the same report gives the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "marketloom"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
