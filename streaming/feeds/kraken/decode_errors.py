"""Why a message of Kraken cannot be read, in words that fit on one line of a log."""

from msgspec import MsgspecError

from trading.errors import InvalidValue

# JSON that msgspec cannot read: wrong types and syntax, lone surrogates and invalid UTF-8, nesting without end,
# exponents that no decimal has.
UNREADABLE = (MsgspecError, InvalidValue, UnicodeError, RecursionError, ArithmeticError)
LONGEST_REASON = 300


def reason_of(error: Exception) -> str:
    return printable(str(error))[:LONGEST_REASON] or type(error).__name__


def printable(text: str) -> str:
    """What a venue sends ends up in logs: it cannot begin a new line there."""
    return text.encode("unicode_escape").decode()
