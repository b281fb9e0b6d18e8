"""Kraken's error strings as our errors, which say whether to try again.

Strings and their meaning: docs.kraken.com/exchange/guides/general/errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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


class ErrorClass(Enum):
    """What an error string means for the call, the least certain first: of several strings that one decides."""

    UNCERTAIN = 0  # an order may have been taken all the same
    UNLISTED = 1  # what it means is not known here: no certain "no" to a call that changes something
    CLOSED = 2  # nothing was done; the venue or the market is not open for this now
    LIMITED = 3
    FORBIDDEN = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class _KnownError:
    beginning: str
    error_class: ErrorClass
    advice: str


_KEY = "check the key, its secret and its permissions at kraken.com (Settings, API)"
_REFUSALS = (
    "EGeneral:Invalid arguments",
    "EGeneral:Unknown method",
    "EOrder:Cannot open opposing position",
    "EOrder:Cannot open position",
    "EOrder:Cost minimum not met",
    "EOrder:Insufficient funds",
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
    "EOrder:Tick size check failed",
    "EOrder:Trading agreement required",
    "EOrder:Unknown order",
    "EOrder:Unknown position",
    "EQuery:Invalid asset pair",
    "EQuery:Unknown asset",
    "ETrade:User Locked",
)
_KNOWN_ERRORS = (
    _KnownError("EService:Unavailable", ErrorClass.UNCERTAIN, "the engine or the API is offline"),
    _KnownError("EService:Busy", ErrorClass.UNCERTAIN, "the engine is overloaded"),
    _KnownError("EService:Timeout", ErrorClass.UNCERTAIN, "the engine did not answer in time"),
    _KnownError("EService:Deadline elapsed", ErrorClass.UNCERTAIN, "the request was late for its deadline"),
    _KnownError("EGeneral:Internal error", ErrorClass.UNCERTAIN, "an error inside the venue"),
    _KnownError("EDatabase:Internal error", ErrorClass.UNCERTAIN, "an error inside the venue"),
    _KnownError(
        "EGeneral:Invalid arguments:cl_ord_id", ErrorClass.UNLISTED, "an order may have this id already"
    ),
    _KnownError("EService:Market in ", ErrorClass.CLOSED, "the market does not take this now"),
    _KnownError(
        "EGeneral:Invalid arguments:deadline", ErrorClass.CLOSED, "the venue's clock and ours differ"
    ),
    _KnownError(
        STALE_NONCE,
        ErrorClass.CLOSED,
        "another program uses this key with higher nonces: one key per program",
    ),
    _KnownError("EAPI:Rate limit exceeded", ErrorClass.LIMITED, "wait some seconds"),
    _KnownError(
        "EOrder:Rate limit exceeded",
        ErrorClass.LIMITED,
        "wait some seconds before the next order of this pair",
    ),
    _KnownError(
        "EOrder:Domain rate limit exceeded", ErrorClass.LIMITED, "wait some seconds before the next order"
    ),
    _KnownError("EGeneral:Too many requests", ErrorClass.LIMITED, "wait some seconds"),
    _KnownError("EAuth:Rate limit exceeded", ErrorClass.LIMITED, "wait some seconds"),
    _KnownError("EAuth:Too many requests", ErrorClass.LIMITED, "wait some seconds"),
    _KnownError("EService:Throttled", ErrorClass.LIMITED, "wait until the time that is named"),
    _KnownError("EService: Throttled", ErrorClass.LIMITED, "wait until the time that is named"),
    _KnownError(
        "EGeneral:Temporary lockout",
        ErrorClass.LIMITED,
        f"too many refused keys: wait 15 minutes, and {_KEY}",
    ),
    _KnownError("EAPI:Invalid key", ErrorClass.FORBIDDEN, _KEY),
    _KnownError("EAPI:Invalid signature", ErrorClass.FORBIDDEN, _KEY),
    _KnownError("EGeneral:Permission denied", ErrorClass.FORBIDDEN, f"the key may not do this: {_KEY}"),
    _KnownError("EAccount:Invalid permissions", ErrorClass.FORBIDDEN, "the account may not do this"),
    _KnownError("EAuth:Account temporary disabled", ErrorClass.FORBIDDEN, "ask Kraken about the account"),
    _KnownError("EAuth:Account unconfirmed", ErrorClass.FORBIDDEN, "confirm the account at kraken.com"),
    _KnownError("ESession:Invalid session", ErrorClass.FORBIDDEN, "ask for a new token"),
    *(_KnownError(each, ErrorClass.REFUSED, "") for each in _REFUSALS),
)
_UNKNOWN_ERROR = _KnownError("", ErrorClass.UNLISTED, "")
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
    known = min((_classify(each) for each in texts), key=lambda each: each.error_class.value)
    message = f"Kraken {method}: {'; '.join(texts)[:MAX_TEXT]}" + (
        f" ({known.advice})" if known.advice else ""
    )
    if changes and known.error_class in (ErrorClass.UNCERTAIN, ErrorClass.UNLISTED):
        return OutcomeUnknown(message)
    return _RAISED[known.error_class](message)


def _classify(text: str) -> _KnownError:
    return next((each for each in _KNOWN_ERRORS if text.startswith(each.beginning)), _UNKNOWN_ERROR)
