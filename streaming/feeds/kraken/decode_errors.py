"""Errors of reading Kraken's messages, as text that fits on one line of a log."""

from msgspec import MsgspecError

from trading.errors import InvalidValue

# What reading JSON with msgspec raises: wrong types and syntax, lone surrogates and invalid UTF-8, nesting without end,
# exponents that no decimal has.
DECODE_ERRORS = (MsgspecError, InvalidValue, UnicodeError, RecursionError, ArithmeticError)
MAX_REASON_LENGTH = 300


def error_reason(error: Exception) -> str:
    """Return the error's text, escaped and cut."""
    return escape(str(error))[:MAX_REASON_LENGTH] or type(error).__name__


def escape(text: str) -> str:
    """Escape what a venue sends, so that it cannot begin a new line in a log."""
    return text.encode("unicode_escape").decode()
