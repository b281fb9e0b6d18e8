"""What a demo did, read back from the stores: candles, folds and verdicts, decisions, orders and equity."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from ml.learning.evaluation import Evaluation
from ml.learning.evaluation_files import EvaluationFiles
from ml.strategies import Strategy
from orchestration.commands.demo_data import DemoData
from orchestration.services import Services
from trading.account import opening_balances
from trading.candles import Quality, quality
from trading.market import Pair, month_start, next_month
from trading.orders import Fill, Order
from trading.portfolio import equity

RECENT = 1000  # decisions that a summary looks back on


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """A decision that led to an order, and what became of it."""

    receipt: Mapping[str, Any]
    order: Order | None
    fills: list[Fill]
    # Of an entry: the fill that closed its position, whoever ordered it; None: it is open.
    closing: Fill | None = None

    @property
    def pair(self) -> str:
        return str(self.receipt["pair"])

    @property
    def is_entry(self) -> bool:
        return not self.receipt["intent"]["reduces"]


@dataclass(frozen=True, slots=True)
class PairSummary:
    pair: Pair
    counted: Quality
    folds: list[Evaluation]
    frames_per_second: list[float]  # per fold
    champion: str | None
    gate: tuple[str, ...]  # reasons of the promotion gate
    decisions: list[Mapping[str, Any]]  # receipts, oldest first
    candles: pl.DataFrame  # of the time in which decisions were made, and as many before
    backtests: list[Mapping[str, Any]]  # facts of the back-tests of all that is stored

    @property
    def newest(self) -> Mapping[str, Any]:
        return self.decisions[-1]

    @property
    def actions(self) -> Mapping[str, int]:
        """Count the decisions by action, the most frequent first."""
        return dict(Counter(receipt["action"] for receipt in self.decisions).most_common())


@dataclass(frozen=True, slots=True)
class EquityCurve:
    """Value of the account at each decided candle, beside what it would be without a trade."""

    times: list[datetime]
    account: list[float]
    untouched: list[float]  # the opening balances, held


@dataclass(frozen=True, slots=True)
class DemoSummary:
    label: str
    dataset: str
    quote: str
    interface: str  # address of the Dagster UI once `make dev` runs
    pairs: list[PairSummary]
    orders: list[PlacedOrder]  # oldest first
    balances: Mapping[str, Decimal]
    curve: EquityCurve

    @property
    def decided(self) -> list[PairSummary]:
        """Leave out pairs that the account has never decided on: they came later than its newest decision."""
        return [each for each in self.pairs if each.decisions]


def summarise(services: Services, data: DemoData) -> DemoSummary:
    """Collect the demo's results from the stores."""
    settings, account = services.settings, services.account.name
    receipts = services.journal.decisions(account, limit=RECENT)[::-1]
    return DemoSummary(
        label=data.label,
        dataset=services.dataset,
        quote=services.account.quote,
        interface=f"http://{settings.dagster.host}:{settings.dagster.port}",
        pairs=[_pair(services, pair, receipts) for pair in settings.market.pairs],
        orders=list(_orders(services, receipts)),
        balances=dict(sorted(services.journal.balances(account).items())),
        curve=_curve(services, receipts),
    )


def _pair(services: Services, pair: Pair, receipts: Sequence[Mapping[str, Any]]) -> PairSummary:
    months = services.candle_store.months(pair)
    candles = services.candle_store.between(pair, month_start(months[0]), month_start(next_month(months[-1])))
    market = services.settings.market
    folds = EvaluationFiles(services.policies).newest_run(pair)
    champion = services.policies.champion(pair)
    verdicts = services.promotions.history(pair)
    decisions = [receipt for receipt in receipts if receipt["pair"] == str(pair)]
    return PairSummary(
        pair=pair,
        counted=quality(candles, market.timeframe, market.origin),
        folds=folds,
        frames_per_second=[
            services.policies.by_id(pair, fold.policy_id).manifest.frames_per_second for fold in folds
        ],
        champion=champion.policy_id if champion else None,
        gate=tuple(verdicts[0]["evidence"]["reasons"]) if verdicts else (),
        decisions=decisions,
        candles=candles.tail(2 * len(decisions)),
        backtests=list(_backtests(services.report_folder, services.dataset, pair)),
    )


def _backtests(folder: Path, dataset: str, pair: Pair) -> Iterator[Mapping[str, Any]]:
    """Read the facts beside the pages of the pair's back-tests over all that is stored."""
    for strategy in Strategy:
        page = folder / f"backtest-{dataset}-{pair.key}-{strategy}.html"
        if page.exists():
            yield json.loads(page.with_suffix(".json").read_text(encoding="utf-8")) | {"page": page.name}


def _orders(services: Services, receipts: Sequence[Mapping[str, Any]]) -> Iterator[PlacedOrder]:
    fills = services.journal.fills(services.account.name)
    closings = closing_fills(services.journal.fills(services.account.name, of_positions=True))
    for receipt in receipts:
        if receipt["intent"]:
            intent = receipt["intent"]["intent_id"]
            own = [fill for fill in fills if fill.intent_id == intent]
            yield PlacedOrder(receipt, services.journal.order(intent), own, closings.get(intent))


def closing_fills(fills: Iterable[Fill]) -> dict[str, Fill]:
    """Return by the intent that opened a position the fill that closed it: of a decision's exit, or of a stop."""
    held: dict[Pair, Decimal] = defaultdict(Decimal)
    opened_by: dict[Pair, str] = {}
    closings = {}
    for fill in fills:
        if not held[fill.pair]:
            opened_by[fill.pair] = fill.intent_id
        held[fill.pair] += fill.side.sign * fill.quantity
        if not held[fill.pair]:
            closings[opened_by[fill.pair]] = fill
    return closings


def _curve(services: Services, receipts: Sequence[Mapping[str, Any]]) -> EquityCurve:
    """Value the account and its opening balances at every decided candle, at the prices known then."""
    times = sorted({datetime.fromisoformat(receipt["decided_at"]) for receipt in receipts})
    account, market, journal = services.account, services.input_reader.market, services.journal
    opened = opening_balances(account, market.prices(times[0]))
    prices = [market.prices(time) for time in times]
    return EquityCurve(
        times,
        [
            float(equity(journal.balances(account.name, until=time), account.quote, known))
            for time, known in zip(times, prices, strict=True)
        ],
        [float(equity(opened, account.quote, known)) for known in prices],
    )
