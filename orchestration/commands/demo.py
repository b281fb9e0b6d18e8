"""`marketloom demo`: the whole graph once, through Dagster, with every step printed as it happens."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from rich.console import Console

from assets.partitions import all_pairs
from ml.decision.recent_signal import RecentSignal, find_most_recent_signal
from ml.learning.folds import testable_months
from ml.strategies import Strategy
from orchestration.commands.demo_data import DemoData, choose_files, choose_simulator
from orchestration.commands.demo_report import print_summary, summarise, write_report
from orchestration.resources import Services
from orchestration.run_recovery import PROCESS_TAG
from orchestration.settings import load_settings
from orchestration.settings_schema import Settings
from orchestration.system import IN_PROCESS, dagster_instance, running_system
from trading.market import Pair, month_start, months_between


@dataclass(frozen=True, slots=True)
class DemoSize:
    """How much of the graph one demo materialises."""

    folds: int  # test months per pair, the newest ones
    frames: int | None  # training frames per fold, at most; None: as many as the settings say
    news_days: int
    scored_days: int
    watched_candles: int  # at most so many decisions lead up to the newest one


FULL = DemoSize(folds=3, frames=None, news_days=400, scored_days=30, watched_candles=48)
QUICK = DemoSize(folds=1, frames=50_000, news_days=45, scored_days=5, watched_candles=24)


def run_demo(data: Path | None, quick: bool, out: Console) -> None:
    """Choose the market, materialise everything, print what came out. Running it again changes nothing."""
    size = QUICK if quick else FULL
    began = time.monotonic()
    with stage(out, "PostgreSQL and home folder"), running_system() as system:
        with stage(out, "Market"):
            chosen = choose_files(system, data, out) if data else choose_simulator(system)
            out.print(f"    {chosen.label}")
        settings = load_settings()
        instance = dagster_instance(settings, IN_PROCESS)
        try:
            _materialise(JobRunner(instance, out), chosen, settings.market.pairs, size)
        finally:
            instance.dispose()
        summary = summarise(Services.current(), chosen, size.folds)
        print_summary(summary, out)
        out.print(f"\nreport: {write_report(summary, system.home)}", soft_wrap=True)
        out.print(f"`make dev` opens the Dagster UI with everything above ({time.monotonic() - began:.0f} s)")


def _materialise(runner: "JobRunner", data: DemoData, pairs: Sequence[Pair], size: DemoSize) -> None:
    months = months_between(data.first_month, data.last_month)
    runner.history(pairs, months)
    runner.news(data.news_days(size.news_days))
    settings = load_settings()
    frames = settings.policy.total_timesteps
    frames = min(size.frames or frames, frames)
    runner.learning(pairs, tested_months(months, data.end, settings)[-size.folds :], frames)
    runner.backtests(pairs)
    runner.scores(data.last_day - timedelta(days=size.scored_days), data.last_day)
    runner.decisions(pairs, find_recent_signal(Services.current(), size.watched_candles))
    runner.portfolio(data.end.date())


class JobRunner:
    """Runs jobs of the definitions in this process, on the shared instance, so that the UI shows every run."""

    def __init__(self, instance: dg.DagsterInstance, out: Console) -> None:
        from orchestration.definitions import definitions

        self._defs, self._instance, self._out = definitions(load_settings()), instance, out

    def history(self, pairs: Sequence[Pair], months: Sequence[date]) -> None:
        with stage(self._out, f"Candles and features: {len(pairs)} pairs, {len(months)} months"):
            self._run("market_setup")
            self._run("history", span=all_pairs(self._instance, months[0], months[-1]))

    def news(self, days: tuple[date, date] | None) -> None:
        if days is None:
            self._out.print("[yellow]•[/yellow] News: none for this time; the analyst will abstain")
            return
        with stage(self._out, f"News from {days[0]} to {days[1]}: articles, vectors, sentiment"):
            self._run("news", span=(str(days[0]), str(days[1])))

    def learning(self, pairs: Sequence[Pair], months: Sequence[date], frames: int) -> None:
        if not months:
            self._out.print(
                "[yellow]•[/yellow] Policies: none, too few months to train on ([policy] train_months)"
            )
            return
        with stage(
            self._out, f"Policies: {len(pairs) * len(months)} folds, trained and tested out of sample"
        ):
            config = {"ops": {"ppo_policy": {"config": {"total_timesteps": frames}}}}
            for pair in pairs:
                for month in months:
                    self._run("learning", key=f"{month}|{pair.key}", config=config)
                self._run("promotion", key=pair.key)

    def backtests(self, pairs: Sequence[Pair]) -> None:
        with stage(self._out, "Back-tests of every strategy, after costs and under the account's rules"):
            for pair in pairs:
                for strategy in Strategy:
                    if strategy is Strategy.POLICY and not Services.current().policies.months(pair):
                        continue
                    self._run("backtest", key=f"{pair.key}|{strategy}")

    def scores(self, first: date, last: date) -> None:
        with stage(self._out, f"Scores of every model from {first} to {last}"):
            self._run("daily_performance", span=(str(first), str(last)))

    def decisions(self, pairs: Sequence[Pair], signal: RecentSignal | None) -> None:
        """Watch one pair candle by candle since its last clear signal, as live trading would; then decide on all."""
        with stage(self._out, "Decisions on paper, up to the newest candle"):
            if signal:
                since = f"since its last clear signal at {signal.closes[0]:%Y-%m-%d %H:%M} UTC"
                self._out.print(f"    {signal.pair} is watched candle by candle {since}")
                self._replay_since_signal(signal)
            for pair in pairs:
                self._run("decide", key=pair.key)

    def _replay_since_signal(self, signal: RecentSignal) -> None:
        for close in signal.closes[:-1]:
            config = {"ops": {"decision": {"config": {"as_of": close.isoformat()}}}}
            self._run("decide", key=signal.pair.key, config=config)

    def portfolio(self, day: date) -> None:
        with stage(self._out, "Portfolio"):
            self._run("daily_portfolio", key=str(day))

    def _run(
        self,
        job: str,
        *,
        key: str | None = None,
        span: tuple[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
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
        )


def tested_months(months: Sequence[date], end: datetime, settings: Settings) -> list[date]:
    """Return months with enough months before them to train on and at least a week of candles to test on."""
    trained = testable_months(months, settings.policy.train_months)
    return [month for month in trained if end - month_start(month) >= timedelta(days=7)]


def find_recent_signal(services: Services, maximum: int) -> RecentSignal | None:
    """Find the most recent clear signal; None without one, or when the account has decided later already."""
    rules = services.rules
    tables = {pair: _newest_rows(services, pair, maximum) for pair in services.settings.market.pairs}
    signal = find_most_recent_signal(tables, rules.signals, rules.consensus.minimum_confidence, maximum)
    earlier = services.journal.decisions(services.account.name, limit=1)
    if signal and earlier and datetime.fromisoformat(earlier[0]["decided_at"]) >= signal.closes[-1]:
        return None
    return signal


def _newest_rows(services: Services, pair: Pair, count: int) -> pl.DataFrame:
    newest = services.input_reader.market.newest_close_time(pair)
    closes = services.candle_store.tail(pair, newest, count).select("open_time", "close")
    return services.feature_store.tail(pair, newest, count).join(
        closes, on="open_time", maintain_order="left"
    )


@contextmanager
def stage(out: Console, title: str) -> Iterator[None]:
    """Print the title before and the seconds after; on failure the title stands above the error."""
    out.print(f"[cyan]•[/cyan] {title}")
    began = time.monotonic()
    yield
    out.print(f"    [dim]{time.monotonic() - began:.1f} s[/dim]")
