"""What is told of a backlog: of the candles that an outage has left on the bus the newest alone is decided on."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from trading.market import Pair, Universe
from trading.ports import Event, EventLog

MIN_PASSED_OVER = 5  # candles of a pair; fewer come while a run takes its time, and are in the day's parity


def passed_over(
    events: Sequence[Event], seen: Mapping[str, str], universe: Universe
) -> dict[Pair, list[str]]:
    """Return the closes of each pair's candles that are new and not its newest, where they are many, oldest first."""
    found: dict[Pair, set[str]] = {pair: set() for pair in universe.pairs}
    for event in events:
        pair, close = Pair.parse(event.payload["pair"]), event.payload["close_time"]
        if event.payload["dataset"] == universe.dataset and pair in found and close > seen.get(pair.key, ""):
            found[pair].add(close)
    older = {pair: sorted(closes)[:-1] for pair, closes in found.items()}
    return {pair: closes for pair, closes in older.items() if len(closes) >= MIN_PASSED_OVER}


def tell_of(bus: EventLog, passed: Mapping[Pair, Sequence[str]]) -> None:
    """Publish an alert for each pair; the same candles a second time are the same alert."""
    from trading.bus_messages import alert  # loading the graph must not import msgspec

    for pair, closes in passed.items():
        first, last = (
            f"{datetime.fromisoformat(each).astimezone(UTC):%d %b %H:%M}" for each in (closes[0], closes[-1])
        )
        text = (
            f"{pair}: {len(closes)} candles were passed over, those that closed from {first} to {last} UTC: after an "
            "outage only the newest one is decided on"
        )
        about = f"passed over {pair} {closes[0]} {closes[-1]}"
        message = alert("decisions", "decisions", "info", text, datetime.now(UTC), str(pair), about)
        bus.publish(message.topic, message.key, json.loads(message.value))
