"""The sensor that requests a decision run for every closed candle."""

import datetime as dt

import dagster as dg

from ml.decision.decision_id import decision_id
from streaming.bus import CANDLE_CLOSED
from trading.account import Account
from trading.market import Pair, Universe
from trading.ports import Bus, Event

NO_OFFSET = 0


def run_requests(events: list[Event], universe: Universe, account: Account) -> list[dg.RunRequest]:
    """Return one request per pair, for its newest closed candle of this dataset; older ones are out of date."""
    newest = {
        event.payload["pair"]: event for event in events if event.payload["dataset"] == universe.dataset
    }
    return [
        _run_request(event, account)
        for event in newest.values()
        if Pair.parse(event.payload["pair"]) in universe.pairs
    ]


def _run_request(event: Event, account: Account) -> dg.RunRequest:
    pair = Pair.parse(event.payload["pair"])
    closed = dt.datetime.fromisoformat(event.payload["close_time"])
    return dg.RunRequest(
        run_key=decision_id(account.name, pair, closed),
        partition_key=pair.key,
        tags={"marketloom/candle": event.payload["close_time"]},
    )


@dg.sensor(
    job_name="decide",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Requests one decision run for every pair whose newest candle has closed.",
)
def decision_sensor(
    context: dg.SensorEvaluationContext,
    bus: dg.ResourceParam[Bus],
    universe: dg.ResourceParam[Universe],
    account: dg.ResourceParam[Account],
) -> dg.SensorResult:
    """Request runs; the cursor is the bus offset, the run key the decision's id, so that a repeat starts no run."""
    after = int(context.cursor or NO_OFFSET)
    events = bus.read(CANDLE_CLOSED, after)
    if not events:
        return dg.SensorResult(skip_reason=f"no candle closed since offset {after}", cursor=str(after))
    return dg.SensorResult(
        run_requests=run_requests(events, universe, account), cursor=str(events[-1].offset)
    )
