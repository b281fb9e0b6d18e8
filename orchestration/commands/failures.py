"""What a person is told when a command ends early."""

import sys
from collections.abc import Iterator

from trading.errors import MarketloomError

INTERRUPTED = 130  # what a shell reports for Ctrl-C
_DATABASE = ("psycopg", "psycopg2", "sqlalchemy", "dagster_postgres")


def explained(error: BaseException) -> str | None:
    """The message for a failure that can be expected; None for one that is a mistake of ours."""
    if isinstance(error, MarketloomError):
        return str(error)
    if interrupted(error):
        return "stopped; nothing half-written is left, run the same command again to go on"
    if any(_from_the_database(each) for each in _chain(error)):
        return (
            "PostgreSQL went away in the middle of the work; nothing that was committed is lost: run the same "
            "command again, it starts the embedded server (`marketloom doctor` checks a server of your own)"
        )
    return None


def interrupted(error: BaseException) -> bool:
    """Ctrl-C, as Python or as Dagster reports it."""
    dagster = sys.modules.get("dagster")
    kinds = (KeyboardInterrupt, *((dagster.DagsterExecutionInterruptedError,) if dagster else ()))
    return any(isinstance(each, kinds) for each in _chain(error)) or type(error).__name__ == "Abort"


def _from_the_database(error: BaseException) -> bool:
    module = type(error).__module__.split(".")[0]
    return module in _DATABASE and type(error).__name__ in (
        "OperationalError",
        "InterfaceError",
        "DagsterPostgresException",
        "InternalError",
        "AdminShutdown",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, and what was being handled when it came."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]
