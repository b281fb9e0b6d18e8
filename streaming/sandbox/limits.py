"""Bounds of what a request may say, the same on every way into the exchange."""

import re
from decimal import Decimal

MAX_AMOUNT = Decimal(10) ** 15  # no price or quantity comes near; more would only cost memory to write out
MAX_DECIMALS = 18  # more than any increment has
MAX_TIMEOUT = 86_399  # seconds of the dead man's switch; the docs say less than a day
# Kraken's words
INTERNAL_ERROR = "EGeneral:Internal error"
INVALID_SESSION = "ESession:Invalid session"
EXCEEDED_RATE = "Exceeded msg rate"

# docs.kraken.com, spot-clordid: long UUID, short UUID, or text of up to 18
CLIENT_ORDER_ID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{32}|[\x21-\x7e]{1,18}"


def is_amount(amount: Decimal) -> bool:
    """Check that an amount is possible, without arithmetic, which 1E+9999999 would break."""
    if (
        not amount.is_finite()
        or amount.adjusted() > MAX_AMOUNT.adjusted()
        or not -MAX_AMOUNT <= amount <= MAX_AMOUNT
    ):
        return False
    _, digits, exponent = amount.as_tuple()
    zeros = len(digits) - len(bytes(digits).rstrip(b"\0"))  # behind the point they say nothing
    return isinstance(exponent, int) and exponent + zeros >= -MAX_DECIMALS


def is_client_order_id(text: str) -> bool:
    return re.fullmatch(CLIENT_ORDER_ID, text) is not None
