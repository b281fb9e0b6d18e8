"""`marketloom demo`: the whole graph once, through Dagster, a bar for every stage."""

import gc
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from rich.console import Console
from rich.text import Text

from assets.partitions import all_pairs
from ml.learning.folds import testable_months
from ml.strategies import Strategy
from orchestration.commands.demo_data import DemoData, choose_files, choose_simulator, judged_months
from orchestration.commands.demo_page import write_page
from orchestration.commands.demo_report import print_summary
from orchestration.commands.demo_summary import summarise
from orchestration.commands.demo_words import count
from orchestration.progress import stage
from orchestration.run_recovery import PROCESS_TAG
from orchestration.services import Services
from orchestration.settings import load_settings
from orchestration.settings_schema import Settings
from orchestration.system import IN_PROCESS, dagster_instance, running_system
from trading.market import Pair, months_between

SECOND = 1000  # milliseconds
RUNS_PER_COLLECTION = 8


@dataclass(frozen=True, slots=True)
class DemoSize:
    """How much of the graph one demo materialises."""

    folds: int | None  # test months per pair, the newest ones; None: as many as the promotion gate asks for
    frames: int | None  # training frames per fold, at most; None: as many as the settings say
    news_days: int
    scored_days: int
    decided_candles: int  # consecutive, up to the newest one, on each of which every pair is decided


FULL = DemoSize(folds=None, frames=None, news_days=60, scored_days=30, decided_candles=72)
QUICK = DemoSize(folds=1, frames=50_000, news_days=10, scored_days=5, decided_candles=24)


def run_demo(data: Path | None, quick: bool, out: Console) -> None:
    """Choose the market, materialise everything, print what came out. Running it again changes nothing."""
    size = QUICK if quick else FULL
    began = time.monotonic()
    with running_system() as system:
        chosen = choose_files(system, data, out) if data else choose_simulator(system)
        out.print(chosen.label, style="bold", soft_wrap=True)
        settings = load_settings()
        instance = dagster_instance(settings, IN_PROCESS)
        # By default every event opens a connection of its own, which takes longer than storing it.
        instance.optimize_for_webserver(statement_timeout=60 * SECOND, pool_recycle=3600, max_overflow=20)
        try:
            _materialise(JobRunner(instance, out), chosen, settings, size)
        finally:
            instance.dispose()
        summary = summarise(Services.current(), chosen)
        print_summary(summary, out)
        report = write_page(summary, Services.current().report_folder)
        out.print(f"\nreport: {report}", soft_wrap=True)
        out.print(f"`make dev` opens the Dagster UI with everything above ({time.monotonic() - began:.0f} s)")


def _materialise(runner: "JobRunner", data: DemoData, settings: Settings, size: DemoSize) -> None:
    pairs, months = settings.market.pairs, months_between(data.first_month, data.last_month)
    runner.history(pairs, months)
    runner.news(data.news_days(size.news_days))
    tested = tested_months(data, settings)[-(size.folds or settings.promotion.minimum_folds) :]
    frames = settings.policy.total_timesteps
    runner.learning(pairs, tested, min(size.frames or frames, frames))
    runner.backtests(pairs)
    runner.scores(data.last_day - timedelta(days=size.scored_days), data.last_day)
    runner.decisions(pairs, newest_closes(Services.current(), size.decided_candles))
    runner.rebalancing()
    runner.portfolio(data.end.date())


class JobRunner:
    """Runs jobs of the definitions in this process, on the shared instance, so that the UI shows every run."""

    def __init__(self, instance: dg.DagsterInstance, out: Console) -> None:
        from orchestration.definitions import definitions

        self._defs, self._instance, self._out = definitions(load_settings()), instance, out
        self._runs = 0

    def history(self, pairs: Sequence[Pair], months: Sequence[date]) -> None:
        parts = 2 * len(pairs) * len(months)  # candles and features
        with stage(
            self._out,
            f"Candles and features: {count(len(pairs), 'pair')}, {count(len(months), 'month')}",
            parts,
        ):
            self._run("market_setup")
            self._run("history", span=all_pairs(self._instance, months[0], months[-1]))

    def candles(self, pairs: Sequence[Pair], months: Sequence[date]) -> None:
        """Store candles alone: a decision computes the features of its moment by itself."""
        title = f"Candles: {count(len(pairs), 'pair')}, {count(len(months), 'month')}"
        with stage(self._out, title, len(pairs) * len(months)):
            self._run("market_setup")
            self._run("history", span=all_pairs(self._instance, months[0], months[-1]), only=["ohlcv"])

    def news(self, days: tuple[date, date] | None) -> None:
        if days is None:
            self._print_note("News: none for this time; the analyst will abstain")
            return
        with stage(self._out, f"News from {days[0]} to {days[1]}"):
            self._run("news", span=(str(days[0]), str(days[1])))

    def learning(self, pairs: Sequence[Pair], months: Sequence[date], frames: int) -> None:
        if not months:
            self._print_note("Policies: none, too few months to train on ([policy] train_months)")
            return
        folds = len(pairs) * len(months)
        title = f"Policies: {count(folds, 'fold')}, trained and tested out of sample"
        with stage(self._out, title, folds) as running:
            config = {"ops": {"ppo_policy": {"config": {"total_timesteps": frames}}}}
            for pair in pairs:
                for month in months:
                    self._run("learning", key=f"{month}|{pair.key}", config=config)
                    running.advance()
                self._run("promotion", key=pair.key)

    def backtests(self, pairs: Sequence[Pair]) -> None:
        asked = [
            (pair, strategy) for pair in pairs for strategy in Strategy if _can_be_tested(pair, strategy)
        ]
        with stage(self._out, "Back-tests of every strategy, after costs", len(asked)) as running:
            for pair, strategy in asked:
                self._run("backtest", key=f"{pair.key}|{strategy}")
                running.advance()

    def scores(self, first: date, last: date) -> None:
        with stage(self._out, f"Scores of every model from {first} to {last}"):
            self._run("daily_performance", span=(str(first), str(last)))

    def decisions(self, pairs: Sequence[Pair], closes: Sequence[datetime]) -> None:
        """Decide on all pairs candle by candle, as live trading would."""
        title = f"Decisions on paper: {count(len(pairs), 'pair')}, {count(len(closes), 'candle')}"
        with stage(self._out, title, len(closes)) as running:
            for close in closes:
                self._decide(close)
                running.advance()

    def _decide(self, close: datetime) -> None:
        keys = self._instance.get_dynamic_partitions("pair")
        config = {"ops": {"decision": {"config": {"as_of": close.isoformat()}}}}
        self._run("decide", span=(keys[0], keys[-1]), config=config)

    def _print_note(self, text: str) -> None:
        self._out.print(Text.assemble(("•", "yellow"), f" {text}"), soft_wrap=True)

    def rebalancing(self) -> None:
        with stage(self._out, "Rebalancing: how far the account is from its target shares"):
            self._run("rebalance")

    def portfolio(self, day: date) -> None:
        with stage(self._out, "Portfolio"):
            self._run("daily_portfolio", key=str(day))
            self._run("judging")

    def _run(
        self,
        job: str,
        *,
        key: str | None = None,
        span: tuple[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        only: Sequence[str] | None = None,
    ) -> None:
        self._runs += 1
        if self._runs % RUNS_PER_COLLECTION == 0:
            gc.collect()  # finished runs hold connections in circles of references: PostgreSQL allows 100
        tags = {PROCESS_TAG: str(os.getpid())}
        if span:
            tags |= {
                "dagster/asset_partition_range_start": span[0],
                "dagster/asset_partition_range_end": span[1],
            }
        self._defs.resolve_job_def(job).execute_in_process(
            instance=self._instance,
            partition_key=key,
            tags=tags,
            run_config={"loggers": {"progress": {}}, **(config or {})},
            asset_selection=[dg.AssetKey(name) for name in only] if only else None,
        )


def _can_be_tested(pair: Pair, strategy: Strategy) -> bool:
    return strategy is not Strategy.POLICY or bool(Services.current().policies.months(pair))


def tested_months(data: DemoData, settings: Settings) -> list[date]:
    """Return the whole months with enough months before them to train on."""
    stored = months_between(data.first_month, data.last_month)
    whole = judged_months(settings).whole(data.start, data.end)
    return [month for month in testable_months(stored, settings.policy.train_months) if month in whole]


def newest_closes(services: Services, maximum: int) -> list[datetime]:
    """List the newest closes of any pair, ascending, but none before the account's newest decision."""
    tails = [_newest_closes(services, pair, maximum) for pair in services.settings.market.pairs]
    closes: list[datetime] = pl.concat(tails).unique().sort().tail(maximum).to_list()
    earlier = services.journal.decisions(services.account.name, limit=1)
    decided = datetime.fromisoformat(earlier[0]["decided_at"]) if earlier else None
    return [close for close in closes if decided is None or close >= decided]


def _newest_closes(services: Services, pair: Pair, maximum: int) -> pl.Series:
    newest = services.input_reader.market.newest_close_time(pair)
    return services.candle_store.tail(pair, newest, maximum)["close_time"]
