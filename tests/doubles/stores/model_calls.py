"""The record of model calls in memory; every call is of today."""

import json
from dataclasses import dataclass
from threading import Lock

from trading.ports.model_calls import LATENCY_BUCKETS, ModelCall, ModelResponse, ModelUsage


@dataclass
class RecordedCall:
    call: ModelCall
    response: ModelResponse | None = None
    reused: int = 0

    @property
    def usd(self) -> float:
        return self.call.estimated_usd if self.response is None else self.response.usd


class MemoryModelCalls:
    def __init__(self) -> None:
        self.rows: list[RecordedCall] = []
        self._lock = Lock()

    def begin(self, call: ModelCall, ceiling_usd: float | None) -> int | None:
        json.dumps(dict(call.request), allow_nan=False)
        with self._lock:
            if ceiling_usd is not None and self.spent_today() + call.estimated_usd > ceiling_usd:
                return None
            self.rows.append(RecordedCall(call))
            return len(self.rows)

    def finish(self, number: int, response: ModelResponse) -> None:
        json.dumps(response.answer, allow_nan=False)
        self.rows[number - 1].response = response

    def answer(self, key: str) -> ModelResponse | None:
        for row in reversed(self.rows):
            if row.call.key == key and row.response is not None and row.response.answer is not None:
                row.reused += 1
                return row.response
        return None

    def spent_today(self) -> float:
        return sum((row.usd for row in self.rows), 0.0)

    def usage(self) -> list[ModelUsage]:
        groups: dict[tuple[str, str, str, str], list[RecordedCall]] = {}
        for row in self.rows:
            outcome = row.response.outcome if row.response else "open"
            groups.setdefault((row.call.provider, row.call.model, row.call.purpose, outcome), []).append(row)
        return [_usage(key, rows) for key, rows in sorted(groups.items())]


def _usage(key: tuple[str, str, str, str], rows: list[RecordedCall]) -> ModelUsage:
    done = [row.response for row in rows if row.response]
    return ModelUsage(
        *key,
        calls=len(rows),
        reused=sum(row.reused for row in rows),
        input_tokens=sum(each.input_tokens for each in done),
        output_tokens=sum(each.output_tokens for each in done),
        usd=sum((row.usd for row in rows), 0.0),
        seconds=sum((each.seconds for each in done), 0.0),
        within=tuple(sum(each.seconds <= bound for each in done) for bound in LATENCY_BUCKETS),
    )
