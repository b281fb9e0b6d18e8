"""The sensor that requests decisions for closed candles: one run for all pairs whose candles closed."""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import dagster as dg

from ml.decision.decision_id import decision_id
from sensors.decision_runs import GIVEN_UP_AFTER, JOB, Attempts, attempts_at, candle_tag, pairs_in_runs
from trading.account import Account
from trading.candle_events import CANDLE_CLOSED, candle_key
from trading.market import Pair, Universe
from trading.ports import Event, EventLog, FailureLog, FailureNote

PAIR_PARTITIONS = "pair"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


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


def run_requests(ready: Mapping[str, Request], keys: Sequence[str], account: Account) -> list[dg.RunRequest]:
    """Return one request for all ready pairs; several only where other pairs lie between them in `keys`.

    Dagster runs several partitions at once only as a range, and a dynamic partition's place is its age.
    """
    return [_run_request(stretch, ready, account) for stretch in stretches(ready, keys)]


def stretches(chosen: Collection[str], keys: Sequence[str]) -> list[list[str]]:
    """Cut the chosen keys into the longest stretches that lie side by side in `keys`."""
    found: list[list[str]] = [[]]
    for key in keys:
        if key in chosen:
            found[-1].append(key)
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


def _run_request(stretch: Sequence[str], ready: Mapping[str, Request], account: Account) -> dg.RunRequest:
    ids = [ready[key].key(account, key) for key in stretch]
    candles = {"marketloom/candle": max(ready[key].close for key in stretch)} | {
        candle_tag(key): ready[key].close for key in stretch
    }
    if len(stretch) == 1:
        return dg.RunRequest(run_key=ids[0], partition_key=stretch[0], tags=candles)
    return dg.RunRequest(
        run_key=str(uuid.uuid5(uuid.NAMESPACE_OID, "|".join(ids))),
        tags={RANGE_START: stretch[0], RANGE_END: stretch[-1], **candles},
    )


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Requests one decision run for the pairs whose newest candle has closed, and again where it failed.",
)
def decision_sensor(
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
    before = Cursor.parse(context.cursor) if context.cursor else Cursor.begin(bus, universe)
    cursor = before.advance(bus.read(CANDLE_CLOSED, before.offset), universe)
    now, keys = datetime.now(UTC), context.instance.get_dynamic_partitions(PAIR_PARTITIONS)
    past = {key: attempts_at(context.instance, key, close, now) for key, close in cursor.due.items()}
    cursor = cursor.without([key for key, attempts in past.items() if attempts.succeeded])
    if given_up := [key for key in cursor.due if past[key].exhausted]:
        for key in given_up:
            failure_notes.add(_given_up(account, key, cursor.due[key], past[key], now))
        cursor = cursor.without(given_up)
    if not cursor.due:
        return dg.SensorResult(skip_reason=f"no candle is due at offset {cursor.offset}", cursor=str(cursor))
    busy = pairs_in_runs(context.instance, keys, now)
    ready = {
        key: Request(close, past[key].count + 1)
        for key, close in cursor.due.items()
        if key in keys and key not in busy and past[key].may_repeat(now)
    }
    if not ready:
        pairs = ", ".join(sorted(cursor.due))
        waits = f"{pairs}: a run has not ended yet, or failed a moment ago; the candle stays due"
        return dg.SensorResult(skip_reason=waits, cursor=str(cursor))
    return dg.SensorResult(run_requests=run_requests(ready, keys, account), cursor=str(cursor))


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
