"""Recognition of another market behind the same name: its trade ids begin anew."""

from datetime import timedelta

from streaming.events import Trade
from trading.errors import InvalidMessage

REPEAT_AGE = timedelta(
    seconds=5
)  # a trade that is sent again is older than the newest one; it may be a little newer


class AnotherMarket(InvalidMessage):
    """Nothing of it was used: a person has to say which of the two markets is recorded here."""


def check_same_market(origin: str, trade: Trade, last: Trade) -> None:
    """Raise AnotherMarket for an id that is known already on a trade that cannot be the known one."""
    same = (trade.at, trade.price, trade.quantity) == (last.at, last.price, last.quantity)
    if trade.at > last.at + REPEAT_AGE or (trade.trade_id == last.trade_id and not same):
        raise AnotherMarket(
            "trade",
            f"{origin} counts the trades of {trade.pair} anew: trade {trade.trade_id} is of "
            f"{trade.at:%Y-%m-%d %H:%M:%S}, but the stream had trade {last.trade_id} of {last.at:%Y-%m-%d %H:%M:%S} "
            "before. It is another exchange, or a sandbox that was started afresh: give it a database or a home folder "
            "(MARKETLOOM_HOME) of its own, or begin anew by deleting its rows in stream_checkpoints, market_data and "
            "market_gaps",
        )
