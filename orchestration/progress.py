"""Progress of a long command: a bar per stage at a terminal, two plain lines per stage anywhere else.

The Dagster logger `progress` hands on what asset code logs, without Dagster's own events.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from orchestration.run_recovery import describe_holders

BULLET = ("•", "cyan")  # before every stage
LOGGER = logging.getLogger("marketloom.progress")
LOGGER.setLevel(logging.DEBUG)
LOGGER.propagate = False
LOGGER.addHandler(logging.NullHandler())


class _Bar(Progress):
    """One line with the bar, and below it what is being done right now."""

    note = ""

    def get_renderable(self) -> RenderableType:
        table = self.make_tasks_table(self.tasks)
        return Group(table, Text(f"  {self.note}", style="dim")) if self.note else table


class Stage:
    """A part of the command that is under way."""

    def __init__(self, bar: _Bar, total: int | None) -> None:
        self._bar, self._total, self._done = bar, total, 0

    def advance(self, steps: int = 1) -> None:
        """Count steps that are done, never beyond the total."""
        self.advance_to(self._done + steps)

    def advance_to(self, done: int) -> None:
        """Say how many steps are done."""
        self._done = done
        shown = min(self._done, self._total) if self._total else self._done
        for task in self._bar.task_ids:
            self._bar.update(task, completed=shown)

    def note(self, text: str) -> None:
        """Show what is being done right now."""
        self._bar.note = text
        self._bar.refresh()

    def finish(self) -> None:
        for task in self._bar.task_ids:
            self._bar.update(task, total=self._total or 1, completed=self._total or 1)
        self._bar.note = ""


@contextmanager
def stage(out: Console, title: str, steps: int | None = None) -> Iterator[Stage]:
    """Show the stage while it runs and how long it took; on failure its title stands above the error."""
    began = time.monotonic()
    with _bar(out, title, steps) as running, _asset_messages(running, out):
        yield running
        running.finish()
    if not out.is_terminal:
        out.print(f"    {time.monotonic() - began:.1f} s", style="dim")


@contextmanager
def _bar(out: Console, title: str, steps: int | None) -> Iterator[Stage]:
    """Draw the bar at a terminal; elsewhere print the title, so that a log shows what was begun."""
    if not out.is_terminal:
        out.print(Text.assemble(BULLET, " ", title), soft_wrap=True)
    counter = [MofNCompleteColumn()] if steps else []
    bullet, style = BULLET
    column = Column(min_width=TITLE_WIDTH)
    words = (
        TextColumn(bullet, style=style),
        TextColumn("{task.description}", table_column=column, markup=False),
    )
    columns = (*words, BarColumn(20), *counter, TimeElapsedColumn())
    with _Bar(*columns, console=out, disable=not out.is_terminal) as bar:
        bar.add_task(title, total=steps)
        yield Stage(bar, steps)


@contextmanager
def _asset_messages(running: Stage, out: Console) -> Iterator[None]:
    handler = _AssetMessages(running, out)
    LOGGER.addHandler(handler)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)


class _AssetMessages(logging.Handler):
    """Shows what asset code logs as the stage's note; a warning, or what a run waits for, stays on the screen.

    Dagster's own events carry `dagster_event` in their metadata; the command itself reports a failure, once.
    """

    def __init__(self, running: Stage, out: Console) -> None:
        super().__init__(logging.DEBUG)  # that a run waits is an event of this level
        self._running, self._out = running, out

    def emit(self, record: logging.LogRecord) -> None:
        if pool := blocking_pool(record):
            self._print(waiting_line(pool))
            return
        meta = getattr(record, "dagster_meta", {})
        text = str(meta.get("orig_message") or record.getMessage())
        if (
            meta.get("dagster_event") is not None
            or record.levelno < logging.INFO
            or text.startswith("[pipes]")
        ):
            return
        if record.levelno >= logging.WARNING:
            self._print(text)
        if STEP in text:
            self._running.advance()
        self._running.note(text)

    def _print(self, text: str) -> None:
        self._out.print(f"    {text}", style="yellow", soft_wrap=True)


def blocking_pool(record: logging.LogRecord) -> str | None:
    """Return the pool that the run waits for, when the record says that it waits."""
    event = getattr(record, "dagster_meta", {}).get("dagster_event")
    if event is None or not event.is_engine_event:
        return None
    pool = event.engine_event_data.metadata.get("pool")
    return str(pool.value) if pool else None


def waiting_line(pool: str) -> str:
    """Say which run holds the pool, and how the wait ends."""
    with dg.DagsterInstance.get() as instance:
        holders = describe_holders(instance, pool) or "a run that is just ending"
    return f"waits for pool {pool}: {holders} holds it; the wait ends with that run"


TITLE_WIDTH = 60  # of the longest title, so that bars stand below each other
STEP = "; month "  # assets that work on many months say after each "...; month 3 of 63"

progress = dg.LoggerDefinition(lambda _: LOGGER, description="Moves the bars of `marketloom demo`.")
