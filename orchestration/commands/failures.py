"""Messages for a command that fails or is interrupted."""

import sys
from collections.abc import Iterator

from trading.errors import MarketloomError, NotStored

INTERRUPTED = 130  # what a shell reports for Ctrl-C
HOW_TO_MATERIALISE = (
    "`marketloom dev` opens the UI where you do that; `marketloom demo` does all of it once, on a simulated market or "
    "on the files of --data"
)
_DATABASE = ("psycopg", "psycopg2", "sqlalchemy", "dagster_postgres")


def failure_message(error: BaseException) -> str | None:
    """Return the message of an expected failure; None for a bug."""
    if isinstance(error, NotStored) and "materialise `" in str(error):
        return f"{error}; {HOW_TO_MATERIALISE}"
    if isinstance(error, MarketloomError):
        return str(error)
    if is_interrupt(error):
        return "stopped; nothing half-written is left, run the same command again to go on"
    if any(_is_database_error(each) for each in _error_chain(error)):
        return (
            "PostgreSQL went away in the middle of the work; nothing that was committed is lost: run the same "
            "command again, it starts the embedded server (`marketloom doctor` checks a server of your own)"
        )
    return None


def is_interrupt(error: BaseException) -> bool:
    """Return whether this is Ctrl-C, as Python or as Dagster reports it."""
    dagster = sys.modules.get("dagster")
    kinds = (KeyboardInterrupt, *((dagster.DagsterExecutionInterruptedError,) if dagster else ()))
    return any(isinstance(each, kinds) for each in _error_chain(error)) or type(error).__name__ == "Abort"


def _is_database_error(error: BaseException) -> bool:
    module = type(error).__module__.split(".")[0]
    return module in _DATABASE and type(error).__name__ in (
        "OperationalError",
        "InterfaceError",
        "DagsterPostgresException",
        "InternalError",
        "AdminShutdown",
    )


def _error_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, its causes, and the errors that were being handled when it came."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]
