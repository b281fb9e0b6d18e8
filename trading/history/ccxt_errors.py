"""ccxt's exceptions as ours: what may help if it is repeated, and what never will."""

import importlib
from typing import Any

from trading.errors import (
    InvalidMessage,
    MarketloomError,
    NotAuthorised,
    NotStored,
    VenueRefused,
    VenueUnreachable,
)
from trading.history.retries import Throttled


def library() -> Any:
    """ccxt itself: importing it takes seconds, and most processes never need it. It has no types."""
    return importlib.import_module("ccxt")


def translated(error: Exception, what: str) -> MarketloomError:
    """`error` is one of ccxt's (`ccxt.BaseError`); `what` says what was asked for."""
    ccxt = library()
    said = f"{what}: {type(error).__name__} {str(error)[:300]!r}"
    match error:
        case ccxt.AuthenticationError():
            return NotAuthorised(f"{said}; candles need no key: the venue may not serve this place")
        case ccxt.RateLimitExceeded() | ccxt.DDoSProtection():
            return Throttled(said, None)
        case ccxt.BadSymbol():
            return NotStored(said)
        case ccxt.BadResponse():
            return InvalidMessage(what, f"{type(error).__name__} {str(error)[:300]!r}")
        case ccxt.OperationFailed():
            return VenueUnreachable(said)
        case _:
            return VenueRefused(said)
