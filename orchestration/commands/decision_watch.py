"""Tells a person when candles close and nothing is decided on them: whatever has died between the bus and a receipt."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg

from ml.decision.decision_id import decision_id
from orchestration.commands.keeper_alerts import publish_alert
from orchestration.services import Services
from sensors.decisions import decided_pairs
from trading.candle_events import CANDLE_CLOSED, candle_key
from trading.market import Pair
from trading.ports import Event, EventLog

# After a candle was heard of. Three runs with their pauses, a worker that starts, and agents that ask a language model
# take less; a person who has to act wants to know before the next hour's candle.
OVERDUE_SECONDS = 300.0
REMEMBERED = 1000  # candles of a pair without a decision; beyond that its oldest one and the newest
BATCH = 1000  # events of one read
NOTES = 200  # of failed runs: as many as are kept


@dataclass
class SensorSwitches:
    """The switches of the decision sensors in the storage of DAGSTER_HOME's instance: no daemon need answer."""

    _instance: dg.DagsterInstance | None = field(default=None, repr=False)

    def decided_pairs(self, services: Services) -> Collection[Pair]:
        """Return the pairs whose sensor is on."""
        if self._instance is None:
            self._instance = dg.DagsterInstance.get()
        return decided_pairs(self._instance, services.settings.market.pairs)


@dataclass(frozen=True, slots=True)
class Undecided:
    """A candle without a decision, and when this process heard of it."""

    close: datetime
    heard_at: float


@dataclass
class DecisionWatch:
    """Follows `candle_closed` and the receipts; publishes one alert per outage of a pair, and one when it is over.

    A decision on a later candle counts too, and so does the note of a candle that was given up: a person was told of
    it. Of pairs whose sensor is switched off, and of candles from before this process began, nothing is expected.
    """

    build: Callable[[], Services] = Services.current
    decided: Callable[[Services], Collection[Pair]] = field(
        default_factory=lambda: SensorSwitches().decided_pairs
    )
    monotonic: Callable[[], float] = time.monotonic
    _offset: int | None = None
    _waiting: dict[Pair, dict[str, Undecided]] = field(
        default_factory=dict
    )  # by the decision's id, oldest first
    _told: set[Pair] = field(default_factory=set)

    def look(self) -> None:
        """Look. StoreUnreachable while PostgreSQL is away."""
        now = self.monotonic()
        services = self.build()
        decided = frozenset(self.decided(services))
        self._waiting = {pair: each for pair, each in self._waiting.items() if pair in decided}
        self._told &= decided
        self._hear(services, decided, now)
        self._strike_decided(services)
        self._tell(services, now)

    def _hear(self, services: Services, decided: Collection[Pair], now: float) -> None:
        """Note the candles that have closed since the last look."""
        account, dataset = services.account.name, services.dataset
        if self._offset is None:
            self._offset = _newest_offset(services.bus, dataset, services.settings.market.pairs)
        for event in _events(services.bus, self._offset):
            self._offset = event.offset
            pair = Pair.parse(event.payload["pair"])
            if event.payload["dataset"] != dataset or pair not in decided:
                continue
            close = datetime.fromisoformat(event.payload["close_time"])
            waiting = self._waiting.setdefault(pair, {})
            waiting.setdefault(decision_id(account, pair, close), Undecided(close, now))
            if len(waiting) > REMEMBERED:
                del waiting[list(waiting)[1]]

    def _strike_decided(self, services: Services) -> None:
        """Forget the candles of each pair up to the newest that was decided on, or given up."""
        closes = [each.close for waiting in self._waiting.values() for each in waiting.values()]
        if not closes:
            return
        done = {
            *services.journal.decisions_since(services.account.name, min(closes)),
            *(note.run_id for note in services.failure_notes.newest(NOTES)),
        }
        for pair, waiting in self._waiting.items():
            newest = max((each.close for name, each in waiting.items() if name in done), default=None)
            if newest is not None:
                self._waiting[pair] = {name: each for name, each in waiting.items() if each.close > newest}

    def _tell(self, services: Services, now: float) -> None:
        overdue = {
            pair: min(each.close for each in waiting.values())
            for pair, waiting in self._waiting.items()
            if any(now - each.heard_at >= OVERDUE_SECONDS for each in waiting.values())
        }
        if new := overdue.keys() - self._told:
            candles = ", ".join(
                f"{pair} since the candle of {overdue[pair]:%H:%M} UTC" for pair in sorted(new)
            )
            publish_alert(
                services.dsn,
                "decisions",
                "error",
                f"candles close and nothing is decided: {candles}. The decision sensors are on: look at the daemon and "
                "the code server in the UI (Deployment), at the runs, and at `marketloom status`",
            )
            self._told |= new
        if over := self._told - overdue.keys():
            publish_alert(
                services.dsn,
                "decisions",
                "info",
                f"decisions are made again: {', '.join(map(str, sorted(over)))}",
            )
            self._told -= over


def _events(bus: EventLog, after: int) -> Iterator[Event]:
    while events := bus.read(CANDLE_CLOSED, after, BATCH):
        yield from events
        after = events[-1].offset


def _newest_offset(bus: EventLog, dataset: str, pairs: Collection[Pair]) -> int:
    """Return the offset of the newest candle of these pairs; 0 before there was one."""
    found = [bus.newest(CANDLE_CLOSED, candle_key(dataset, pair)) for pair in pairs]
    return max((event.offset for event in found if event), default=0)
