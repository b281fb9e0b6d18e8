"""The executor: looks at the ledger and the venue, and does what is missing; killed anywhere, the next call goes on."""

import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Protocol

import polars as pl

from trading.execution.result import Execution
from trading.execution.rules import ExecutionRules
from trading.market import Pair
from trading.ports import Journal, Venue


class Candles(Protocol):
    """Closed candles with since < close_time <= until, ascending: open_time, close_time, open, high, low, close.

    Empty, never an error, when none is stored.
    """

    def __call__(self, pair: Pair, since: datetime, until: datetime) -> pl.DataFrame: ...


def no_kill() -> str:
    """Say that nobody has asked for a kill."""
    return ""


def no_checkpoint(name: str) -> None:
    """Do nothing at a step boundary."""


class OrderExecutor:
    """One per process is enough; every method may be called by several threads and processes at once.

    The account's lease decides who sends. Whatever goes wrong at the venue ends in the result's problems; errors of
    the journal are raised.
    """

    def __init__(
        self,
        journal: Journal,
        venue: Venue,
        candles: Candles,
        rules: ExecutionRules,
        *,
        holder: str,
        kill_requested: Callable[[], str] = no_kill,
        checkpoint: Callable[[str], None] = no_checkpoint,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`holder` names this process for all time: host, process id and a random part.

        `kill_requested`: why all new positions must stop, empty while nobody asks for it. `checkpoint` is called with
        the name of every step boundary.
        """
        self._journal = journal
        self._venue = venue
        self._candles = candles
        self._rules = rules
        self._holder = holder
        self._kill_requested = kill_requested
        self._checkpoint = checkpoint
        self._monotonic = monotonic
        self._sleep = sleep

    def carry_out(self, account: str, at: datetime) -> Execution:
        """Do everything that the account's orders and positions need at `at`, the account's clock.

        Books what happened, cancels, sends exits, then entries, follows them for the rules' patience and protects every
        position. The same call is right before a decision (to settle) and after it. Returns at once when there is
        nothing to do. While another process holds the lease its work is waited for.
        """
        raise NotImplementedError

    def cancel_entries(self, account: str, at: datetime, cause: str) -> Execution:
        """Cancel every entry that is still to be filled, and carry out the rest."""
        raise NotImplementedError

    def flatten(
        self, account: str, at: datetime, cause: str, pairs: Collection[Pair] | None = None
    ) -> Execution:
        """Close every position (of `pairs`; None: all) without a decision, entries that still wait cancelled first.

        What cannot be closed now stays in the ledger as an exit, and every later call tries again.
        """
        raise NotImplementedError
