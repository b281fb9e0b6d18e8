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

LONGEST = 500  # characters of the venue's words that are repeated
STALE_NONCE = "EAPI:Invalid nonce"


class Verdict(Enum):
    """From the least to the most certain: of several strings the least certain one decides."""

    UNCERTAIN = 0  # an order may have been taken all the same
    UNLISTED = 1  # what it means is not known here: no certain "no" to a call that changes something
    CLOSED = 2  # nothing was done; the venue or the market is not open for this now
    LIMITED = 3
    FORBIDDEN = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class _Known:
    beginning: str
    verdict: Verdict
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
_KNOWN = (
    _Known("EService:Unavailable", Verdict.UNCERTAIN, "the engine or the API is offline"),
    _Known("EService:Busy", Verdict.UNCERTAIN, "the engine is overloaded"),
    _Known("EService:Timeout", Verdict.UNCERTAIN, "the engine did not answer in time"),
    _Known("EService:Deadline elapsed", Verdict.UNCERTAIN, "the request was late for its deadline"),
    _Known("EGeneral:Internal error", Verdict.UNCERTAIN, "an error inside the venue"),
    _Known("EDatabase:Internal error", Verdict.UNCERTAIN, "an error inside the venue"),
    _Known("EGeneral:Invalid arguments:cl_ord_id", Verdict.UNLISTED, "an order may have this id already"),
    _Known("EService:Market in ", Verdict.CLOSED, "the market does not take this now"),
    _Known("EGeneral:Invalid arguments:deadline", Verdict.CLOSED, "the venue's clock and ours differ"),
    _Known(
        STALE_NONCE, Verdict.CLOSED, "another program uses this key with higher nonces: one key per program"
    ),
    _Known("EAPI:Rate limit exceeded", Verdict.LIMITED, "wait some seconds"),
    _Known(
        "EOrder:Rate limit exceeded", Verdict.LIMITED, "wait some seconds before the next order of this pair"
    ),
    _Known("EOrder:Domain rate limit exceeded", Verdict.LIMITED, "wait some seconds before the next order"),
    _Known("EGeneral:Too many requests", Verdict.LIMITED, "wait some seconds"),
    _Known("EAuth:Rate limit exceeded", Verdict.LIMITED, "wait some seconds"),
    _Known("EAuth:Too many requests", Verdict.LIMITED, "wait some seconds"),
    _Known("EService:Throttled", Verdict.LIMITED, "wait until the time that is named"),
    _Known("EService: Throttled", Verdict.LIMITED, "wait until the time that is named"),
    _Known(
        "EGeneral:Temporary lockout", Verdict.LIMITED, f"too many refused keys: wait 15 minutes, and {_KEY}"
    ),
    _Known("EAPI:Invalid key", Verdict.FORBIDDEN, _KEY),
    _Known("EAPI:Invalid signature", Verdict.FORBIDDEN, _KEY),
    _Known("EGeneral:Permission denied", Verdict.FORBIDDEN, f"the key may not do this: {_KEY}"),
    _Known("EAccount:Invalid permissions", Verdict.FORBIDDEN, "the account may not do this"),
    _Known("EAuth:Account temporary disabled", Verdict.FORBIDDEN, "ask Kraken about the account"),
    _Known("EAuth:Account unconfirmed", Verdict.FORBIDDEN, "confirm the account at kraken.com"),
    _Known("ESession:Invalid session", Verdict.FORBIDDEN, "ask for a new token"),
    *(_Known(each, Verdict.REFUSED, "") for each in _REFUSALS),
)
_UNLISTED = _Known("", Verdict.UNLISTED, "")
_ERRORS: dict[Verdict, type[MarketloomError]] = {
    Verdict.UNCERTAIN: VenueUnreachable,
    Verdict.UNLISTED: VenueRefused,
    Verdict.CLOSED: VenueUnreachable,
    Verdict.LIMITED: RateLimited,
    Verdict.FORBIDDEN: NotAuthorised,
    Verdict.REFUSED: VenueRefused,
}


def error_from(method: str, words: Sequence[str], changes: bool) -> MarketloomError:
    """What to raise for the strings of one answer; `changes` when the call would have changed something."""
    known = min((_known(each) for each in words), key=lambda each: each.verdict.value)
    said = "; ".join(words)[:LONGEST]
    message = f"Kraken {method}: {said}" + (f" ({known.advice})" if known.advice else "")
    if changes and known.verdict in (Verdict.UNCERTAIN, Verdict.UNLISTED):
        return OutcomeUnknown(message)
    return _ERRORS[known.verdict](message)


def _known(words: str) -> _Known:
    return next((each for each in _KNOWN if words.startswith(each.beginning)), _UNLISTED)
