"""`marketloom live-demo`: an exchange on this machine, the stream, both stores and decisions; at the end the proof."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
from rich.console import Console

from orchestration.commands.child import Child, child_environment, running_command
from orchestration.commands.compare_tape import Recorded, TapeComparison, compare_tape
from orchestration.commands.dagster_switch import start_sensor, stop_sensor
from orchestration.commands.demo import SECOND, JobRunner
from orchestration.commands.live_demo_facts import (
    LiveDatabase,
    closing_orders,
    latencies,
    order_stages,
    run_stages,
)
from orchestration.commands.live_demo_home import LiveDemoHome, live_demo_home
from orchestration.commands.live_demo_market import too_fast
from orchestration.commands.live_demo_report import Outcome, show_outcome
from orchestration.commands.sandbox_truth import SandboxTruth
from orchestration.commands.stream_status import StreamView, read_stream
from orchestration.progress import stage
from orchestration.services import Services
from orchestration.system import (
    DAGSTER_POSTGRES,
    IN_PROCESS,
    POSTGRES,
    System,
    dagster_instance,
    running_system,
)
from sensors.decision_runs import JOB, UNFINISHED
from sensors.decisions import decision_sensors
from streaming.sandbox.server import ACCOUNT
from trading.errors import StoreUnreachable
from trading.market import Timeframe, month_of, months_between
from trading.parity import ParityReport
from trading.stores.postgres.outbox import PostgresEventLog

SERVER_PATIENCE = 300.0  # seconds until a command serves, on a busy machine
STREAM_PATIENCE = 180.0  # until every pair is live
REST_PATIENCE = 240.0  # at the end, until everything is stored
FIRST_DECISIONS_PATIENCE = 180.0  # until every pair is decided on once; features are compiled in it
POLL = 0.5
NOTES_APART = 15.0  # seconds between two lines where nobody looks at a terminal


def run_live_demo(data: Path | None, minutes: float, speed: float, out: Console) -> int:
    """Run it and print what came out: 0 when everything that happened at the exchange is stored exactly once, else 1.

    `minutes` are those of this machine; `speed`: the market seconds that pass in each of its seconds.
    """
    began = time.monotonic()
    with live_demo_home(data) as demo, running_system() as system, ExitStack() as exchange:
        out.print(demo.market.label, style="bold", soft_wrap=True)
        if demo.market.decides and (warning := too_fast(speed)):
            out.print(warning, style="yellow", soft_wrap=True)
        with stage(out, "Exchange: the sandbox on this machine"):
            where = (demo.settings.sandbox.host, demo.settings.sandbox.port)
            exchange.enter_context(_command(demo, "sandbox", ["sandbox"], where))
        live = LiveDemo(demo, system, out)
        live.backfill()
        with ExitStack() as servers:
            with stage(out, "Stream, Dagster's daemon and UI, as `marketloom dev` runs them"):
                where = ("127.0.0.1", demo.settings.dagster.port)
                dev = servers.enter_context(_command(demo, "marketloom dev", ["dev"], where))
                live.wait_for_stream(dev)
            out.print(f"    open {demo.interface} while it runs", style="dim", soft_wrap=True)
            live.decide_once(dev)
            live.trade(dev, minutes, speed)
            live.come_to_rest(dev)
        parity = live.audit()
        outcome = live.outcome(parity, time.monotonic() - began)
    show_outcome(outcome, out)
    return 0 if outcome.succeeded else 1


def _command(
    demo: LiveDemoHome, name: str, arguments: list[str], ready: tuple[str, int]
) -> AbstractContextManager[Child]:
    """Return the command as a context; it uses PostgreSQL as one that a person starts, with a lease of its own."""
    environment = child_environment((POSTGRES, DAGSTER_POSTGRES, "DAGSTER_HOME"))
    return running_command(
        name, arguments, ready, home=demo.home, environment=environment, patience=SERVER_PATIENCE
    )


class LiveDemo:
    """The parts of a live demo that come one after the other; the exchange runs, its market stands still at first."""

    def __init__(self, demo: LiveDemoHome, system: System, out: Console) -> None:
        self._demo = demo
        self._system = system
        self._out = out
        self._truth = SandboxTruth(demo.settings.sandbox.url)
        self._database = LiveDatabase(system.dsn)
        self._since = self._until = demo.market.start
        self._sensors = [sensor.name for sensor in decision_sensors(demo.settings.market.pairs)]

    def backfill(self) -> None:
        """Store the history that decisions need, as `marketloom demo` does it."""
        settings, market = self._demo.settings, self._demo.market
        with _instance(self._demo) as instance:
            months = months_between(month_of(market.stored_since), month_of(market.start))
            JobRunner(instance, self._out).candles(settings.market.pairs, months)

    def wait_for_stream(self, dev: Child) -> None:
        """Wait until nothing of any pair's trades can be missed any more: from here on all of it has to be stored."""

        def live() -> bool:
            view = self._stream()
            return view.running and view.live_pairs == {str(pair) for pair in self._demo.market.pairs}

        self._wait(dev, live, STREAM_PATIENCE, "the stream did not follow every pair")
        now = self._truth.market_now()
        self._since = _next_minute(now)

    def decide_once(self, dev: Child) -> None:
        """Switch the sensor on and wait for a decision on each pair, while the market stands still.

        The first decision takes longest: on a new checkout it compiles the features. It must not cost market time, in
        which its candle grows too old for an order.
        """
        if not self._demo.market.decides:
            return
        with stage(self._out, "First decisions, on the newest candle of the history"):
            for sensor in self._sensors:
                start_sensor(self._demo.interface, sensor)
            self._wait(
                dev,
                lambda: self._database.counts().decisions >= len(self._demo.market.pairs),
                FIRST_DECISIONS_PATIENCE,
                "not every pair was decided on in time",
                fails=False,
            )

    def trade(self, dev: Child, minutes: float, speed: float) -> None:
        """Let the market go and say what happens meanwhile."""
        title = f"Trading: {minutes:g} minutes, {speed:g} market seconds in each second"
        seconds = round(minutes * 60)
        with stage(self._out, title, seconds) as running:
            self._truth.set_speed(speed)
            began, noted = time.monotonic(), 0.0
            while (passed := time.monotonic() - began) < seconds:
                dev.check()
                note = f"{self._truth.market_now():%H:%M:%S} market time: {self._database.counts()}"
                running.note(note)
                if not self._out.is_terminal and passed - noted >= NOTES_APART:
                    noted = passed
                    self._out.print(f"    {note}", style="dim", soft_wrap=True)
                running.advance_to(int(passed))
                time.sleep(POLL)

    def come_to_rest(self, dev: Child) -> None:
        """Stop the market, let everything that is under way end, and wait until it is stored everywhere."""
        with stage(self._out, "Coming to rest: the market stands still, what is under way ends"):
            if self._demo.market.decides:
                for sensor in self._sensors:
                    stop_sensor(self._demo.interface, sensor)
            grace = timedelta(seconds=self._demo.settings.stream.close_grace)
            self._until = _this_minute(self._truth.set_speed(0) - grace)
            with _instance(self._demo) as instance:
                undecided = dg.RunsFilter(job_name=JOB, statuses=UNFINISHED)
                self._wait(
                    dev,
                    lambda: not instance.get_runs_count(undecided) and self._is_stored(),
                    REST_PATIENCE,
                    "not everything was stored in time",
                    fails=False,
                )

    def audit(self) -> ParityReport | None:
        """Back-test the day on the candles that are stored now, and attribute the difference; None: it did not end."""
        market, day = self._demo.market, self._since.date()
        now = self._truth.market_now()
        if not market.decides or now.date() <= day:
            return None
        with _instance(self._demo) as instance:
            JobRunner(instance, self._out).history(market.pairs, [month_of(self._since)])
        with stage(self._out, f"Parity: {day}, back-tested once more"):
            return Services.current().parity_auditor.audit(day, now)

    def outcome(self, parity: ParityReport | None, seconds: float) -> Outcome:
        """Compare everything that is stored with the exchange, and collect what was decided."""
        services = Services.current()
        receipts = services.journal.decisions(services.account.name, limit=10_000)
        # Those of history are older than the market that moves: nothing is to be said about how soon they followed.
        followed = [
            receipt
            for receipt in receipts
            if datetime.fromisoformat(receipt["candle_close_time"]) >= self._since
        ]
        with _instance(self._demo) as instance:
            runs = run_stages(instance, self._demo.market.pairs)
        orders = order_stages(services.journal, followed)
        fills = services.journal.fills(services.account.name)
        return Outcome(
            label=self._demo.market.label,
            home=self._demo.home,
            comparison=self._compare(services),
            receipts=receipts,
            fills=fills,
            closed_by=closing_orders(services.journal, fills),
            latencies=latencies(PostgresEventLog(self._system.dsn), services.dataset, followed, runs, orders),
            failures=services.failure_notes.newest(10),
            parity=parity,
            decides=self._demo.market.decides,
            seconds=seconds,
        )

    def _compare(self, services: Services) -> TapeComparison:
        market = self._demo.settings.market
        timeframes = {Timeframe.M1, market.timeframe, *self._demo.settings.stream.timeframes}
        recorded = Recorded(
            events=PostgresEventLog(self._system.dsn),
            market_data=services.market_data,
            tape=services.tape,
            journal=services.journal,
            account=services.account.name,
            venue_account=ACCOUNT,
        )
        return compare_tape(
            self._truth,
            recorded,
            market.origin,
            market.pairs,
            sorted(timeframes, key=lambda each: each.duration),
            self._since,
            self._until,
        )

    def _is_stored(self) -> bool:
        """Return whether every consumer has done everything, and the account has booked every fill."""
        services = Services.current()
        booked = len(services.journal.fills(services.account.name))
        return (
            self._stream().queue == 0
            and self._database.unread() == 0
            and self._database.counts().candles > 0
            and booked == len(self._truth.fills(ACCOUNT))
        )

    def _stream(self) -> StreamView:
        return read_stream(self._demo.settings, self._system.dsn)

    def _wait(
        self, dev: Child, done: Callable[[], bool], patience: float, otherwise: str, *, fails: bool = True
    ) -> None:
        deadline = time.monotonic() + patience
        while not done():
            dev.check()
            if time.monotonic() > deadline:
                if fails:
                    raise StoreUnreachable(
                        f"{otherwise} within {patience:.0f} s; see {self._demo.home / 'logs'}"
                    )
                self._out.print(f"    {otherwise}", style="yellow")
                return
            time.sleep(POLL)


def _instance(demo: LiveDemoHome) -> dg.DagsterInstance:
    instance = dagster_instance(demo.settings, IN_PROCESS)
    # By default every event opens a connection of its own, which takes longer than storing it.
    instance.optimize_for_webserver(statement_timeout=60 * SECOND, pool_recycle=3600, max_overflow=20)
    return instance


def _next_minute(moment: datetime) -> datetime:
    return _this_minute(moment) + timedelta(minutes=1)


def _this_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
