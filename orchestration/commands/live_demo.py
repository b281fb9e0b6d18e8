"""`marketloom live-demo`: an exchange on this machine, the stream, both stores and decisions, and at the end the proof."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import httpx
from rich.console import Console

from orchestration.commands.child import Child, child_environment, running_command
from orchestration.commands.compare_tape import Recorded, compare_tape
from orchestration.commands.dagster_switch import start_sensor, stop_sensor
from orchestration.commands.demo import SECOND, JobRunner
from orchestration.commands.live_demo_facts import LiveFacts, read_facts
from orchestration.commands.live_demo_home import LiveDemoHome, live_demo_home
from orchestration.commands.live_demo_report import Outcome, show_outcome
from orchestration.commands.sandbox_truth import SandboxTruth
from orchestration.progress import Stage, stage
from orchestration.resources import Services
from orchestration.system import DAGSTER_POSTGRES, IN_PROCESS, POSTGRES, System, dagster_instance, running_system
from sensors.decision_runs import JOB, UNFINISHED
from streaming.sandbox.server import ACCOUNT
from trading.errors import StoreUnreachable, Transient
from trading.market import Timeframe, month_of, months_between
from trading.stores.postgres.stream import read_lease

SENSOR = "decision_sensor"
SERVER_PATIENCE = 180.0  # seconds until a command serves on a busy machine
STREAM_PATIENCE = 90.0  # until every pair is live
QUIET_PATIENCE = 90.0  # until everything is stored, at the end
POLL = 0.5
NOTES_APART = 15.0  # seconds between two lines where nobody looks at a terminal


def run_live_demo(data: Path | None, minutes: float, speed: float, out: Console) -> int:
    """Run it and print what came out: 0 when everything that happened at the exchange is stored exactly once, else 1.

    `minutes` are those of this machine, `speed` the market seconds that pass in each of its seconds.
    """
    began = time.monotonic()
    with live_demo_home(data) as demo, running_system() as system:
        out.print(demo.market.label, style="bold", soft_wrap=True)
        with _sandbox(demo, out) as exchange:
            with stage(out, "..."):
                pass
    return 0
