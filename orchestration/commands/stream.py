"""`marketloom stream`: the streaming process of the settings' source, composed of its parts."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import structlog

from orchestration.feeds import book_mode, check_streams, public_feed, subscriptions, venue_time
from orchestration.guarding import AccountGuard
from orchestration.model_metrics import ModelMetrics
from orchestration.outbox_retention import keep_outbox_short
from orchestration.postgres.embedded import prepare_home
from orchestration.services import Services
from orchestration.settings import home_folder, load_settings
from orchestration.settings_schema import Settings
from orchestration.stream_repair import repair
from orchestration.stream_reports import build_reporter, report
from orchestration.stream_sinks import sink_runners, timeframes
from orchestration.streamed import recorded, streams
from orchestration.system import DAGSTER_POSTGRES, POSTGRES, postgres_addresses
from streaming.bars import PairCandles
from streaming.book_sampler import BookSampler
from streaming.connection.budget import budget_for
from streaming.events import Channel
from streaming.guard.metrics import GuardMetrics
from streaming.guard.quotes import Quotes
from streaming.quarantine import Quarantine
from streaming.recorder.committer import Committer
from streaming.recorder.exit_codes import ExitCode, exit_code
from streaming.recorder.followers import FollowerMetrics, Followers
from streaming.recorder.http import serve_status
from streaming.recorder.logs import configure_logs
from streaming.recorder.metrics import StreamMetrics
from streaming.recorder.process import Line, StreamProcess, Worker
from streaming.recorder.recorder import Recorder
from streaming.recorder.venue_time import VenueTime
from streaming.session import Session
from streaming.session.settings import SessionSettings
from trading.market import Pair
from trading.stores.postgres import PostgresModelCalls, migrate
from trading.stores.postgres.stream import StreamOutbox
from trading.stream_checkpoint import Checkpoint

LOG = structlog.get_logger("stream")
ONE_SIGNAL = 0.5  # seconds


def run_stream() -> ExitCode:
    """Stream until a signal, and return what that or an error means (docs/stream.md); a second signal ends at once."""
    configure_logs()
    try:
        chosen = load_settings()
        settings, trades = recorded(chosen), streams(chosen)
        check_streams(settings)
        home = prepare_home(home_folder())
        with postgres_addresses(home) as (dsn, dagster_url):
            migrate(dsn)
            asyncio.run(_stream(settings, home, dsn, dagster_url if _has_dagster() else "", trades=trades))
    except Exception as error:
        code = exit_code(error)
        if code is ExitCode.BUG:
            LOG.exception("stopped by an error that nobody expected", code=int(code))
        else:
            LOG.error("stopped", code=int(code), why=str(error), error=type(error).__name__)
        print(f"error: {error}", file=sys.stderr)
        return code
    LOG.info("stopped", code=0)
    return ExitCode.STOPPED


def _has_dagster() -> bool:
    """Return whether it is known where Dagster's events go: not where only the address of our own tables was given."""
    return POSTGRES not in os.environ or DAGSTER_POSTGRES in os.environ


async def _stream(settings: Settings, home: Path, dsn: str, dagster_url: str, *, trades: bool) -> None:
    """Stream until a signal. `trades`: the account trades on this market, and is watched on its prices."""
    stop = asyncio.Event()
    origin, account = settings.market.origin, Services(settings, home, dsn).account.name
    holder = f"account {account}, host {socket.gethostname()}, process {os.getpid()}"
    outbox = StreamOutbox(dsn, origin, holder)
    with _stop_at_signals(stop):
        checkpoints = await asyncio.to_thread(outbox.open)
        try:
            clock, interval = venue_time(settings, home)
            # What is known is never dated by another clock than the venue's.
            await asyncio.to_thread(clock.measure)
            metrics = StreamMetrics()
            follower_metrics = FollowerMetrics(metrics)
            model_metrics = ModelMetrics(PostgresModelCalls(dsn), settings.model_ladder, metrics.registry)
            quotes = Quotes(settings.market.pairs, settings.guard.max_spread)
            process = _compose(settings, home, outbox, checkpoints, clock, interval, metrics, quotes)
            guard = AccountGuard(
                settings, home, dsn, dagster_url,
                epoch=lambda: outbox.epoch, stream=process, quotes=quotes, metrics=GuardMetrics(metrics.registry),
            )  # fmt: skip
            runners = sink_runners(settings, home, dsn, follower_metrics)
            followers = Followers(runners, follower_metrics, process.alert)
            about = {"origin": origin, "account": account, "pid": os.getpid(), "host": socket.gethostname()}

            def health() -> list[str]:
                return [*process.health(), *followers.health(), *guard.health()]

            async def status() -> dict[str, Any]:
                facts = {**process.facts(), "health": health(), "consumers": followers.facts()}
                return {**about, **facts, "account": guard.account or account, "guard": guard.facts()}

            def exposition() -> bytes:
                process.set_ages()
                return metrics.exposition()

            host, port = settings.stream.metrics_host, settings.stream.metrics_port
            async with serve_status(host, port, health=health, status=status, metrics=exposition) as address:
                await asyncio.to_thread(outbox.announce, address)
                pairs = [str(pair) for pair in settings.market.pairs]
                LOG.info("started", address=address, pairs=pairs, epoch=outbox.epoch, **about)
                workers: list[Worker] = [
                    followers.run,
                    lambda ended: keep_outbox_short(settings.bus, dsn, ended),
                    lambda ended: repair(settings, home, dsn, process, stop=ended),
                    model_metrics.follow,
                ]
                if trades:
                    workers.append(guard.run)
                if dagster_url:
                    reporter = build_reporter(settings, home, dsn, dagster_url)
                    workers.append(lambda ended: report(reporter, status, process.venue_now, ended))
                try:
                    await process.run(stop, workers)
                finally:
                    await asyncio.to_thread(followers.stop)
        finally:
            await asyncio.to_thread(outbox.close)


def _compose(
    settings: Settings,
    home: Path,
    outbox: StreamOutbox,
    checkpoints: dict[Pair, Checkpoint],
    clock: VenueTime,
    interval: float,
    metrics: StreamMetrics,
    quotes: Quotes,
) -> StreamProcess:
    """Build the parts. Nothing is connected yet."""
    market, chosen = settings.market, settings.stream
    grace = timedelta(seconds=chosen.close_grace)
    recorder = Recorder(
        origin=market.origin,
        builders={
            pair: PairCandles(market.origin, pair, timeframes(settings), grace, checkpoints.get(pair))
            for pair in market.pairs
        },
        clock=clock,
        sampler=BookSampler(market.origin, timedelta(seconds=chosen.book_interval)),
        metrics=metrics,
    )
    return StreamProcess(
        recorder=recorder,
        committer=Committer(outbox, recorder.cut, lambda: recorder.waiting, metrics),
        clock=clock,
        lines=_lines(settings, home),
        metrics=metrics,
        measure_interval=interval,
        observe=quotes.observe,
    )


def _lines(settings: Settings, home: Path) -> list[Line]:
    source = settings.market.source
    lines = []
    for wanted in subscriptions(settings):
        feed = public_feed(settings, source)
        lines.append(
            Line(
                session=Session(feed, wanted, SessionSettings(book_mode=book_mode(source))),
                quarantine=Quarantine(home / "quarantine" / feed.venue),
                budget=budget_for(feed, home / "connections"),
                trades=any(each.channel is Channel.TRADE for each in wanted),
                books=any(each.channel is Channel.BOOK for each in wanted),
            )
        )
    return lines


@contextmanager
def _stop_at_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at the first SIGTERM or Ctrl-C; the second one ends the process at once.

    Two within half a second are one: whoever ends a group of processes may reach this one in two ways.
    """
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    first: list[float] = []

    def handle(number: signal.Signals) -> None:
        if first and time.monotonic() - first[0] > ONE_SIGNAL:
            _end_now(number)
        if not first:
            LOG.info("stopping", signal=number.name)
            first.append(time.monotonic())
        stop.set()

    for number in numbers:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _end_now(number: signal.Signals) -> NoReturn:
    os._exit(128 + number)  # what is not durable is a gap of the next start
