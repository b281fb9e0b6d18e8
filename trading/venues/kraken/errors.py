"""Kraken's error strings as our errors, which say whether to try again.

Strings and their meaning: docs.kraken.com/exchange/guides/general/errors.
"""

from collections.abc import Sequence
from enum import Enum

from trading.errors import (
    MarketloomError,
    NotAuthorised,
    OutcomeUnknown,
    RateLimited,
    VenueRefused,
    VenueUnreachable,
)

MAX_TEXT = 500  # characters of the venue's strings that are repeated
STALE_NONCE = "EAPI:Invalid nonce"
UNKNOWN_ORDER = "EOrder:Unknown order"
INVALID_SESSION = "ESession:Invalid session"  # the token of a WebSocket


class UnknownOrder(VenueRefused):
    """No order of that id is in force: it has ended, it has not come yet, or it never existed."""


class StaleNonce(VenueUnreachable):
    """Another program uses the key with higher nonces, or its own numbers were set back: asking again does not help."""


class ErrorClass(Enum):
    """The meaning of an error string for the call, the least certain first: of several strings that one decides."""

    UNCERTAIN = 0  # an order may have been taken all the same
    UNLISTED = 1  # what it means is not known here: no certain "no" to a call that changes something
    CLOSED = 2  # nothing was done; the venue or the market is not open for this now
    LIMITED = 3
    FORBIDDEN = 4
    REFUSED = 5


_KEY = "check the key, its secret and its permissions at kraken.com (Settings, API)"
# The beginnings of error strings and what to do about them; the first class with a beginning that fits decides.
_ADVICE: dict[ErrorClass, dict[str, str]] = {
    ErrorClass.UNCERTAIN: {
        "EService:Unavailable": "the engine or the API is offline",
        "EService:Busy": "the engine is overloaded",
        "EService:Timeout": "the engine did not answer in time",
        "EService:Deadline elapsed": "the request was late for its deadline",
        "EGeneral:Internal error": "an error inside the venue",
        "EDatabase:Internal error": "an error inside the venue",
    },
    ErrorClass.UNLISTED: {"EGeneral:Invalid arguments:cl_ord_id": "an order may have this id already"},
    ErrorClass.CLOSED: {
        "EService:Market in ": "the market does not take this now",
        "EGeneral:Invalid arguments:deadline": "the venue's clock and ours differ",
        STALE_NONCE: "another program uses this key with higher nonces: one key per program",
    },
    ErrorClass.LIMITED: {
        "EAPI:Rate limit exceeded": "wait some seconds",
        "EOrder:Rate limit exceeded": "wait some seconds before the next order of this pair",
        "EOrder:Domain rate limit exceeded": "wait some seconds before the next order",
        "EGeneral:Too many requests": "wait some seconds",
        "EAuth:Rate limit exceeded": "wait some seconds",
        "EAuth:Too many requests": "wait some seconds",
        "Exceeded msg rate": "too many messages over one WebSocket",
        "EService:Throttled": "wait until the time that is named",
        "EService: Throttled": "wait until the time that is named",
        "EGeneral:Temporary lockout": f"too many refused keys: wait 15 minutes, and {_KEY}",
    },
    ErrorClass.FORBIDDEN: {
        "EAPI:Invalid key": _KEY,
        "EAPI:Invalid signature": _KEY,
        "EGeneral:Permission denied": f"the key may not do this: {_KEY}",
        "EAccount:Invalid permissions": "the account may not do this",
        "EAuth:Account temporary disabled": "ask Kraken about the account",
        "EAuth:Account unconfirmed": "confirm the account at kraken.com",
        INVALID_SESSION: "ask for a new token",
    },
    ErrorClass.REFUSED: {
        "EGeneral:Invalid arguments:volume": "below the pair's minimum, or no quantity at all",
    }
    | dict.fromkeys(
        (
            "EGeneral:Invalid arguments",
            "EGeneral:Unknown method",
            "EOrder:Account is not authorized",
            "EOrder:Cannot open opposing position",
            "EOrder:Cannot open position",
            "EOrder:Cost minimum not met",
            "EOrder:Insufficient funds",
            "EOrder:Insufficient initial margin",
            "EOrder:Insufficient margin",
            "EOrder:Invalid order",
            "EOrder:Invalid price",
            "EOrder:Margin allowance exceeded",
            "EOrder:Margin level too low",
            "EOrder:Margin position size exceeded",
            "EOrder:Order minimum not met",
            "EOrder:Orders limit exceeded",
            "EOrder:Positions limit exceeded",
            "EOrder:Post only order",
            "EOrder:Reduce only",
            "EOrder:Scheduled orders limit exceeded",
            "EOrder:Tick size check failed",
            "EOrder:Trading agreement required",
            UNKNOWN_ORDER,
            "EOrder:Unknown position",
            "EQuery:Invalid asset pair",
            "EQuery:Unknown asset",
            "ETrade:User Locked",
            "Currency pair not supported",  # this and those below: over WebSocket
            "Malformed request",
            "Method not supported",
            "Unsupported field",
        ),
        "",
    ),
}
_RAISED: dict[ErrorClass, type[MarketloomError]] = {
    ErrorClass.UNCERTAIN: VenueUnreachable,
    ErrorClass.UNLISTED: VenueRefused,
    ErrorClass.CLOSED: VenueUnreachable,
    ErrorClass.LIMITED: RateLimited,
    ErrorClass.FORBIDDEN: NotAuthorised,
    ErrorClass.REFUSED: VenueRefused,
}


def error_from(method: str, texts: Sequence[str], changes: bool) -> MarketloomError:
    """Return what to raise for the strings of one response; `changes`: the call would have changed something."""
    error_class, advice = min(map(_classify, texts), key=lambda found: found[0].value)
    message = f"Kraken {method}: {'; '.join(texts)[:MAX_TEXT]}" + (f" ({advice})" if advice else "")
    if changes and error_class in (ErrorClass.UNCERTAIN, ErrorClass.UNLISTED):
        return OutcomeUnknown(message)
    if STALE_NONCE in texts:
        return StaleNonce(message)
    if error_class is ErrorClass.REFUSED and texts[0].startswith(UNKNOWN_ORDER):
        return UnknownOrder(message)
    return _RAISED[error_class](message)


def _classify(text: str) -> tuple[ErrorClass, str]:
    """Return the class of an error string, and the advice."""
    for error_class, advices in _ADVICE.items():
        for beginning, advice in advices.items():
            if text.startswith(beginning):
                return error_class, advice
    return ErrorClass.UNLISTED, ""
