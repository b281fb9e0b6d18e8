"""Exit codes of `marketloom stream`: what a supervisor does next depends on them (docs/stream.md)."""

from enum import IntEnum

from streaming.bars.restart import AnotherMarket
from trading.errors import (
    AlreadyRuns,
    InvalidSettings,
    InvalidValue,
    LeaseLost,
    NotAuthorised,
    RateLimited,
    StoreUnreachable,
    Transient,
    UnusableHome,
    VenueRefused,
    VenueUnreachable,
)


class ExitCode(IntEnum):
    """From 64 on they are those of sysexits.h."""

    STOPPED = 0  # by a signal; everything that was received is durable
    SETTINGS = 2  # something has to be changed first: the settings, the home folder, the source
    ALREADY_RUNS = 3  # another stream of this venue writes to this database
    REFUSED = 4  # the venue offers nothing of what was asked for, or does not accept the key
    LEASE_LOST = 5  # another stream has taken over; nothing was written since
    NOT_FLUSHED = 6  # stopped while PostgreSQL was away: what was received last is a gap of the next start
    BUG = 70  # an error that nobody expected; the log has it
    UNAVAILABLE = 75  # PostgreSQL or the venue was not there at the start: try again later


class NotFlushed(Transient):
    """The process was stopped before everything that it had received was durable."""


CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (InvalidSettings, ExitCode.SETTINGS),
    (InvalidValue, ExitCode.SETTINGS),
    (UnusableHome, ExitCode.SETTINGS),
    (AnotherMarket, ExitCode.SETTINGS),
    (AlreadyRuns, ExitCode.ALREADY_RUNS),
    (VenueRefused, ExitCode.REFUSED),
    (NotAuthorised, ExitCode.REFUSED),
    (LeaseLost, ExitCode.LEASE_LOST),
    (NotFlushed, ExitCode.NOT_FLUSHED),
    (StoreUnreachable, ExitCode.UNAVAILABLE),
    (VenueUnreachable, ExitCode.UNAVAILABLE),
    (RateLimited, ExitCode.UNAVAILABLE),
)
PERMANENT = frozenset(
    {ExitCode.STOPPED, ExitCode.SETTINGS, ExitCode.ALREADY_RUNS, ExitCode.REFUSED}
)  # starting it again changes nothing


def exit_code(error: Exception) -> ExitCode:
    """Return what a supervisor is told of the error that ended the stream."""
    return next((code for kind, code in CODES if isinstance(error, kind)), ExitCode.BUG)
