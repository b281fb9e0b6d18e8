"""An account is traded by one strategy at a time, and in one direction of time."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trading.errors import InvalidValue
from trading.market import Timeframe

Receipt = Mapping[str, Any]
RECENT_CANDLES = 2  # of the other dataset: without a decision for longer, nobody trades with it any more


class AccountIsAhead(InvalidValue):
    """The account has decided on a candle that closed later than the decision's clock."""


def refuse_the_past(account: str, at: datetime, newest: Receipt | None) -> None:
    """Raise AccountIsAhead when the account has decided on a candle that closed later than `at`.

    The candle counts and not the time of that decision: a clock that was fast once must not stop the account until
    the others have caught up.
    """
    if newest is None:
        return
    decided = datetime.fromisoformat(newest.get("candle_close_time", newest["decided_at"]))
    if decided > at:
        raise AccountIsAhead(
            f"account {account} has decided on the candle of {decided.isoformat()}: it cannot decide as of "
            f"{at.isoformat()} any more; use another [venue] account to try the past again"
        )


def refuse_another_strategy(account: str, dataset: str, at: datetime, newest: Receipt | None) -> None:
    """Raise InvalidValue while another dataset decides for the account; after that, this one takes it over.

    Positions, orders and halts are the account's: whoever takes it over goes on with them.
    """
    other = newest.get("dataset", dataset) if newest else dataset
    if newest is None or other == dataset:
        return
    last = datetime.fromisoformat(newest["decided_at"])
    ends = last + RECENT_CANDLES * Timeframe(other.rsplit("-", 1)[-1]).duration
    if at < ends:
        raise InvalidValue(
            f"account {account} is traded with the candles of {other}, last at {last:%Y-%m-%d %H:%M} UTC, and an "
            f"account has one strategy at a time: stop the decisions of {other}, and those of {dataset} take it over "
            f"from {ends:%Y-%m-%d %H:%M} UTC on; or give {dataset} an account of its own (on paper another [venue] "
            "account, else another API key)"
        )
