"""An account is traded by one strategy at a time, and in one direction of time."""

from datetime import datetime

from trading.errors import InvalidValue
from trading.market import Timeframe
from trading.ports import Journal

RECENT_CANDLES = 2  # of the other dataset: without a decision for longer, nobody trades with it any more


def refuse_the_past(account: str, at: datetime, journal: Journal) -> None:
    """Raise InvalidValue when the account has decided on a candle that closed later than `at`.

    The candle counts and not the time of that decision: a clock that was fast once must not stop the account until
    the others have caught up.
    """
    newest = journal.decisions(account, limit=1)
    if not newest:
        return
    decided = datetime.fromisoformat(newest[0].get("candle_close_time", newest[0]["decided_at"]))
    if decided > at:
        raise InvalidValue(
            f"account {account} has decided on the candle of {decided.isoformat()}: it cannot decide as of "
            f"{at.isoformat()} any more; use another [venue] account to try the past again"
        )


def refuse_another_strategy(account: str, dataset: str, at: datetime, journal: Journal) -> None:
    """Raise InvalidValue while another dataset decides for the account; after that, this one takes it over.

    Positions, orders and halts are the account's: whoever takes it over goes on with them.
    """
    newest = journal.decisions(account, limit=1)
    other = newest[0].get("dataset", dataset) if newest else dataset
    if other == dataset:
        return
    last = datetime.fromisoformat(newest[0]["decided_at"])
    ends = last + RECENT_CANDLES * Timeframe(other.rsplit("-", 1)[-1]).duration
    if at < ends:
        raise InvalidValue(
            f"account {account} is traded with the candles of {other}, last at {last:%Y-%m-%d %H:%M} UTC, and an "
            f"account has one strategy at a time: stop the decisions of {other}, and those of {dataset} take it over "
            f"from {ends:%Y-%m-%d %H:%M} UTC on; or give {dataset} an account of its own (on paper another [venue] "
            "account, else another API key)"
        )
