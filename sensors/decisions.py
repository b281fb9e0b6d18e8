"""The sensors that request decisions for closed candles.

Dagster's daemon comes back to a sensor within five seconds after its last evaluation. So an evaluation waits for its
candle, and returns the moment that it is on the bus; and each pair has a sensor of its own.
"""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus

from ml.decision.decision_id import decision_id
from sensors.backlog import passed_over, tell_of
from sensors.decision_runs import (
    GIVEN_UP_AFTER,
    JOB,
    NO_ATTEMPTS,
    Attempts,
    attempts_at,
    candle_tag,
    pairs_in_runs,
)
from trading.account import Account
from trading.candle_events import CANDLE_CLOSED, candle_key
from trading.market import Pair, Universe
from trading.ports import Event, EventLog, FailureLog, FailureNote

PAIR_PARTITIONS = "pair"
SENSOR = "decision_sensor"
MAX_SHARDS = (
    8  # evaluations that wait at the same time; each takes a thread of the daemon and of the code server
)
# Dagster looks at its sensors every 5 s, and passes over one whose evaluation goes on: this ends just before a look.
# A daemon that is stopped waits for it.
LONG_POLL_SECONDS = 19.4
LOOK_SECONDS = 1.0  # between two looks while a candle waits for the end of a run


@dataclass(frozen=True, slots=True)
class Cursor:
    """The bus offset up to which everything was read, and the candles that no run has decided on yet.

    `due` holds the close of each pair's newest candle until a run for it has succeeded, or was given up. It lives in
    the cursor and is not read from the bus again: a pair whose run takes long or fails loses nothing by it and holds up
    no other pair. How often a candle was asked for is not in here: the runs themselves say so.

    `seen` is the newest close of each pair that was ever due. The stream and `ohlcv` both announce a candle, and one of
    them late: what is not newer than that is asked for by nobody.
    """

    offset: int = 0
    due: Mapping[str, str] = field(default_factory=dict)  # by partition key
    seen: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read a stored cursor; an earlier version stored the offset alone."""
        values = json.loads(text)
        return cls(values) if isinstance(values, int) else cls(**values)

    @classmethod
    def begin(cls, bus: EventLog, universe: Universe) -> "Cursor":
        """Begin with the newest candle of each pair: a cursor that was reset loses none, and repeats no history."""
        newest = [bus.newest(CANDLE_CLOSED, candle_key(universe.dataset, pair)) for pair in universe.pairs]
        events = sorted((event for event in newest if event), key=lambda event: event.offset)
        return cls().advance(events, universe)

    def __str__(self) -> str:
        values = {"due": dict(sorted(self.due.items())), "seen": dict(sorted(self.seen.items()))}
        return json.dumps({"offset": self.offset, **values})

    def advance(self, events: Sequence[Event], universe: Universe) -> "Cursor":
        """Add the candles that closed; of a pair only its newest counts, older ones are out of date."""
        traded = {pair.key for pair in universe.pairs}
        due = {key: close for key, close in self.due.items() if key in traded}
        seen = {key: max(self.seen.get(key, ""), due.get(key, "")) for key in sorted(traded)}
        for event in events:
            key, close = Pair.parse(event.payload["pair"]).key, event.payload["close_time"]
            if event.payload["dataset"] == universe.dataset and key in traded and close > seen[key]:
                due[key] = seen[key] = close
        known = {key: close for key, close in seen.items() if close}
        return Cursor(events[-1].offset if events else self.offset, due, known)

    def without(self, keys: Collection[str]) -> "Cursor":
        return replace(self, due={key: close for key, close in self.due.items() if key not in keys})


@dataclass(frozen=True, slots=True)
class Request:
    """A candle that a run is to be requested for, the how many-th time."""

    close: str
    attempt: int

    def key(self, account: Account, partition: str) -> str:
        """Return the decision's id; of a later attempt another one, which Dagster starts a new run for."""
        made = decision_id(account.name, Pair.parse(partition), datetime.fromisoformat(self.close))
        return made if self.attempt == 1 else f"{made}/{self.attempt}"


def shards(pairs: Sequence[Pair]) -> list[tuple[Pair, ...]]:
    """Spread the pairs over at most `MAX_SHARDS` sensors: a tick of one never waits for another's."""
    count = min(len(pairs), MAX_SHARDS)
    return [tuple(pairs[number::count]) for number in range(count)]


def subjects(pairs: Sequence[Pair]) -> dict[str, tuple[Pair, ...]]:
    """Return the pairs of each sensor by what it is named after: its pair, or its shard's number."""
    return {
        each[0].key if len(each) == 1 else f"shard_{number}": each
        for number, each in enumerate(shards(pairs), 1)
    }


def decision_sensors(pairs: Sequence[Pair]) -> list[dg.SensorDefinition]:
    """Return the sensors that ask for decisions on these pairs, each for its own."""
    return [decision_sensor(subject, each) for subject, each in subjects(pairs).items()]


def sensor_name(subject: str) -> str:
    """Return the name of the sensor of a pair or of a shard, in Dagster's alphabet."""
    return f"{SENSOR}_{subject.lower()}".replace("-", "_")


def decided_pairs(instance: dg.DagsterInstance, pairs: Sequence[Pair]) -> frozenset[Pair]:
    """Return the pairs whose decision sensor is switched on."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    running = {each.instigator_name for each in states if each.status is InstigatorStatus.RUNNING}
    return frozenset(
        pair for subject, each in subjects(pairs).items() if sensor_name(subject) in running for pair in each
    )


def decision_sensor(
    subject: str, pairs: tuple[Pair, ...], patience: float = LONG_POLL_SECONDS
) -> dg.SensorDefinition:
    """Return the sensor of these pairs. An evaluation waits up to `patience` seconds for a candle to close."""

    @dg.sensor(
        name=sensor_name(subject),
        job_name=JOB,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Requests a decision run of {', '.join(map(str, pairs))} as soon as a candle has closed, and "
        "again where it failed. Each evaluation waits for the next candle.",
    )
    def evaluate(
        context: dg.SensorEvaluationContext,
        bus: dg.ResourceParam[EventLog],
        universe: dg.ResourceParam[Universe],
        account: dg.ResourceParam[Account],
        failure_notes: dg.ResourceParam[FailureLog],
    ) -> dg.SensorResult:
        """Request runs for due candles, except of pairs that a run is waiting for or working on: they stay due.

        A candle stays due until a run for it has succeeded. One that failed or was lost is requested again a little
        later, a few times; after that it is noted as given up. The decision's id has at most one effect, whichever
        attempt gets there.
        """
        shard = replace(universe, pairs=tuple(pair for pair in universe.pairs if pair in pairs))
        keys = [candle_key(shard.dataset, pair) for pair in shard.pairs]
        cursor = Cursor.parse(context.cursor) if context.cursor else Cursor.begin(bus, shard)
        known = context.instance.get_dynamic_partitions(PAIR_PARTITIONS)
        until, fresh = time.monotonic() + patience, False
        while True:
            events = bus.read(CANDLE_CLOSED, cursor.offset)
            tell_of(bus, passed_over(events, cursor.seen, shard))
            before, cursor = cursor, cursor.advance(events, shard)
            first = [key for key, close in cursor.due.items() if fresh and close != before.due.get(key)]
            fresh = True
            cursor, requests = _look(context.instance, cursor, known, first, account, failure_notes)
            left = until - time.monotonic()
            if requests or left <= 0:
                break
            bus.wait(CANDLE_CLOSED, keys, cursor.offset, min(left, LOOK_SECONDS) if cursor.due else left)
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=str(cursor))
        return dg.SensorResult(skip_reason=_why_not(cursor), cursor=str(cursor))

    return evaluate


def _look(
    instance: dg.DagsterInstance,
    cursor: Cursor,
    known: Sequence[str],
    fresh: Collection[str],
    account: Account,
    notes: FailureLog,
) -> tuple[Cursor, list[dg.RunRequest]]:
    """Return the cursor without the candles that are done with, and the runs to request now.

    `known`: the partition keys that Dagster knows; `fresh`: those whose candle closed a moment ago, so that no run was
    for it yet. Where that is wrong, Dagster starts nothing: the run's key is the same.
    """
    if not cursor.due:
        return cursor, []
    now = datetime.now(UTC)
    past = {
        key: NO_ATTEMPTS if key in fresh else attempts_at(instance, key, close, now)
        for key, close in cursor.due.items()
    }
    cursor = cursor.without([key for key, attempts in past.items() if attempts.succeeded])
    if given_up := [key for key in cursor.due if past[key].exhausted]:
        for key in given_up:
            notes.add(_given_up(account, key, cursor.due[key], past[key], now))
        cursor = cursor.without(given_up)
    wanted = {key: close for key, close in cursor.due.items() if past[key].may_repeat(now)}
    if not wanted:
        return cursor, []
    busy = pairs_in_runs(instance, known, now)
    return cursor, [
        _run_request(key, Request(close, past[key].count + 1), account)
        for key, close in wanted.items()
        if key in known and key not in busy
    ]


def _run_request(key: str, request: Request, account: Account) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=request.key(account, key), partition_key=key, tags={candle_tag(key): request.close}
    )


def _why_not(cursor: Cursor) -> str:
    if not cursor.due:
        return f"no candle is due at offset {cursor.offset}"
    return f"{', '.join(sorted(cursor.due))}: a run has not ended yet, or failed a moment ago; the candle stays due"


def _given_up(account: Account, key: str, close: str, past: Attempts, now: datetime) -> FailureNote:
    """Return the note; its id is the decision's, so that it is noted once."""
    return FailureNote(
        run_id=Request(close, 1).key(account, key),
        job=JOB,
        partition=key,
        reason=f"given up: {past.count} runs for the candle that closed at {close} failed (at most {GIVEN_UP_AFTER}); "
        "the next candle is decided on as usual",
        at=now,
    )
