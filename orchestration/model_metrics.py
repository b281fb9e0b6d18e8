"""Figures of language models for Prometheus, from the record of all processes' calls: docs/models.md lists them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ml.models.budget import BudgetLadder, Rung
from trading.errors import MarketloomError
from trading.ports.model_calls import LATENCY_BUCKETS, ModelCalls, ModelUsage

PREFIX = "marketloom_model"
READ_SECONDS = 15.0  # between two looks at the record, about as often as Prometheus asks
OPEN = "open"  # calls that have not ended: their outcome and cost still change
LOG = structlog.get_logger("marketloom.models")


class ModelMetrics(Collector):
    """What the record held at the last look; nothing before the first."""

    def __init__(self, calls: ModelCalls, ladder: BudgetLadder, registry: CollectorRegistry) -> None:
        self._calls = calls
        self._ladder = ladder
        self._usage: Sequence[ModelUsage] = ()
        self._spent: float | None = None
        registry.register(self)

    async def follow(self, ended: asyncio.Event) -> None:
        """Look again and again until `ended`; what fails is tried again, and the figures stay as they were."""
        while not ended.is_set():
            try:
                await asyncio.to_thread(self.read)
            except MarketloomError as error:
                LOG.warning("the record of model calls was not read", why=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), READ_SECONDS)

    def read(self) -> None:
        self._usage, self._spent = self._calls.usage(), self._calls.spent_today()

    def describe(self) -> Iterable[Metric]:
        """Name nothing ahead: the registry need not ask."""
        return []

    def collect(self) -> Iterator[Metric]:
        usage = [each for each in self._usage if each.outcome != OPEN]
        yield from _counters(usage)
        yield _latency(usage)
        if self._spent is not None:
            yield GaugeMetricFamily(
                f"{PREFIX}_spent_today_usd",
                "Cost of the UTC day, with estimates of open calls.",
                value=self._spent,
            )
            yield GaugeMetricFamily(
                f"{PREFIX}_budget_usd", "Daily budget of paid models.", value=self._ladder.daily_usd
            )
            rungs = GaugeMetricFamily(
                f"{PREFIX}_rung", "1 for the rung of the budget's ladder.", labels=["rung"]
            )
            for rung in Rung:
                rungs.add_metric([str(rung)], float(rung is self._ladder.rung(self._spent)))
            yield rungs


def _counters(usage: Sequence[ModelUsage]) -> Iterator[Metric]:
    names = ["provider", "model", "purpose", "outcome"]
    calls = CounterMetricFamily(
        f"{PREFIX}_calls", "Calls that were made, by what came of them.", labels=names
    )
    reused = CounterMetricFamily(
        f"{PREFIX}_reused", "Answers that were taken from the record.", labels=names[:3]
    )
    usd = CounterMetricFamily(f"{PREFIX}_usd", "Cost in USD.", labels=names[:3])
    tokens = CounterMetricFamily(
        f"{PREFIX}_tokens", "Tokens, read and written.", labels=[*names[:3], "direction"]
    )
    totals: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0.0] * 4)
    for each in usage:
        key = each.provider, each.model, each.purpose
        calls.add_metric([*key, each.outcome], each.calls)
        parts = each.reused, each.usd, each.input_tokens, each.output_tokens
        totals[key] = [one + other for one, other in zip(totals[key], parts, strict=True)]
    for key, (again, cost, read, written) in totals.items():
        reused.add_metric(key, again)
        usd.add_metric(key, cost)
        tokens.add_metric([*key, "read"], read)
        tokens.add_metric([*key, "written"], written)
    yield from (calls, reused, usd, tokens)


def _latency(usage: Sequence[ModelUsage]) -> Metric:
    family = HistogramMetricFamily(f"{PREFIX}_seconds", "Duration of a call.", labels=["provider", "model"])
    groups: dict[tuple[str, str], list[ModelUsage]] = defaultdict(list)
    for each in usage:
        groups[each.provider, each.model].append(each)
    for key, rows in groups.items():
        within = [sum(counts) for counts in zip(*(each.within for each in rows), strict=True)]
        buckets = [(str(bound), float(count)) for bound, count in zip(LATENCY_BUCKETS, within, strict=True)]
        buckets.append(("+Inf", float(sum(each.calls for each in rows))))
        family.add_metric(key, buckets, sum(each.seconds for each in rows))
    return family
