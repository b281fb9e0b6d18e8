"""The market monitor on the screen: as much of it as the terminal is wide enough for, or as plain lines."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestration.stream_tables import newest_age

Facts = Mapping[str, Any]
OLD_SECONDS = 60.0  # since the last trade or quote, after which an age is shown as a warning
WIDE, MEDIUM, NARROW = 104, 78, 56  # columns of the terminal
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the monitor and the narrowest terminal that it fits into."""

    name: str
    width: int
    text: Callable[[Facts], Text | str]


def picture(facts: Facts, width: int) -> RenderableType:
    """Draw the facts for a terminal of this width."""
    parts: list[RenderableType] = [_title(facts), *_problems(facts), _pairs(facts, width)]
    parts += [Text(line, overflow="fold") for line in (_consumers(facts), _rows(facts)) if line]
    parts += [Text(line, overflow="fold") for line in _account(facts)]
    return Group(*parts)


def plain_lines(facts: Facts) -> Iterator[str]:
    """Write the same as lines for a log: one for the stream, one per pair."""
    at = f"{facts['at']:%Y-%m-%d %H:%M:%S}Z"
    rest = [*(text.plain for text in _problems(facts)), _consumers(facts), *_account(facts)]
    yield f"{at}  {_title(facts).plain}; {'; '.join(filter(None, rest))}"
    for pair, row in rows(facts).items():
        values = (f"{column.name} {_plain(column.text(row))}" for column in COLUMNS[1:])
        yield f"{at}  {pair}  {', '.join(values)}"


def rows(facts: Facts) -> dict[str, dict[str, Any]]:
    """Join what the stream and the stores say of each pair."""
    streamed = facts["stream"]["facts"].get("pairs", {})
    stored = facts["stored"].get("pairs", {})
    names = dict.fromkeys([*stored, *streamed])
    return {pair: {"pair": pair, **stored.get(pair, {}), **streamed.get(pair, {})} for pair in names}


def _title(facts: Facts) -> Text:
    stream = facts["stream"]
    if not stream["running"]:
        return Text.assemble((facts["origin"], "bold"), "  ", (stream["problem"], "yellow"))
    known = stream["facts"]
    if not known:
        return Text.assemble((facts["origin"], "bold"), "  ", (stream["problem"], "red"))
    well = not known["health"]
    state = ("streams", "green") if well else ("not well", "red")
    time = datetime.fromisoformat(known["venue_time"])
    return Text.assemble(
        (facts["origin"], "bold"), " ", state,
        f" for {_span(known['uptime_seconds'])}, market time {time:%Y-%m-%d %H:%M:%S} UTC",
        f", venue {known['venue_status']}" if known["venue_status"] else "",
        f", {known['queue']} messages wait" if known["queue"] else "",
    )  # fmt: skip


def _problems(facts: Facts) -> Iterator[Text]:
    for reason in facts["stream"]["facts"].get("health", []):
        yield Text(reason, style="red", overflow="fold")
    if facts["problem"]:
        read = facts["stored_at"]
        since = f"; stored facts are those of {read:%H:%M:%S} UTC" if read else ""
        yield Text(f"{facts['problem']}{since}", style="red", overflow="fold")


def _pairs(facts: Facts, width: int) -> Table:
    shown = [column for column in COLUMNS if column.width <= width]
    table = Table(*(column.name for column in shown), expand=False)
    for column in table.columns:
        column.justify = "left" if column.header == "pair" else "right"
        column.no_wrap = True
    for row in rows(facts).values():
        table.add_row(*(column.text(row) for column in shown))
    return table


def _consumers(facts: Facts) -> str:
    groups = facts["stored"].get("consumers", {})
    if not groups:
        return ""
    lags = (f"{group} {sum(topics.values()):,}" for group, topics in groups.items())
    return f"records not yet read: {', '.join(lags)}"


def _rows(facts: Facts) -> str:
    counted = facts["stored"].get("rows", {})
    return "rows: " + ", ".join(f"{name} {number:,}" for name, number in counted.items()) if counted else ""


def _account(facts: Facts) -> Iterator[str]:
    stored = facts["stored"]
    if decision := stored.get("decision"):
        yield (
            f"last decision: {decision['decision_id'][:8]} {decision['decided_at'][:19]} {decision['pair']} "
            f"{decision['action']}"
        )
    for halt in stored.get("halts", []):
        yield f"halted, {halt['kind']}: {halt['reason']}; {halt['ended_by']}"


def _age(row: Facts) -> Text | str:
    age = newest_age(row)
    if age is None:
        return NOTHING
    return Text(_span(age), style="yellow" if age > OLD_SECONDS else "")


def _spread(row: Facts) -> str:
    bid, ask = row.get("bid"), row.get("ask")
    if not bid or not ask:
        return NOTHING
    return f"{(ask - bid) / bid * 10_000:.1f} bp"


def _state(name: str, good: str) -> Callable[[Facts], Text | str]:
    def text(row: Facts) -> Text | str:
        state = row.get(name)
        return NOTHING if state is None else Text(str(state), style="green" if state == good else "red")

    return text


def _count(name: str, style: str) -> Callable[[Facts], Text | str]:
    def text(row: Facts) -> Text | str:
        number = row.get(name)
        return NOTHING if number is None else Text(f"{number:,}", style=style if number else "")

    return text


def _price(row: Facts) -> str:
    price = row.get("price")
    return NOTHING if price is None else f"{price:.10f}".rstrip("0").rstrip(".")


def _candle(row: Facts) -> str:
    close = row.get("newest_candle")
    return f"{close:%m-%d %H:%M}" if close else NOTHING


COLUMNS = (
    Column("pair", 0, lambda row: str(row["pair"])),
    Column("price", 0, _price),
    Column("age", 0, _age),
    Column("spread", NARROW, _spread),
    Column("gaps", NARROW, _count("gaps", "red")),
    Column("book", MEDIUM, _state("book", "verified")),
    Column("trades", MEDIUM, _state("trades", "live")),
    Column("restated", WIDE, _count("restatements", "yellow")),
    Column("newest candle", WIDE, _candle),
)


def _plain(text: Text | str) -> str:
    return text.plain if isinstance(text, Text) else text


def _span(seconds: float) -> str:
    """Write a stretch of time in its largest unit, two of them from an hour on."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours} h {minutes} min"
