"""Kraken's names for pairs, channels, timeframes and states."""

import re
from datetime import timedelta

from streaming.events import Channel
from trading.errors import InvalidValue
from trading.market import Pair, PairStatus, Timeframe

CHANNEL_NAMES = {
    Channel.INSTRUMENT: "instrument",
    Channel.TICKER: "ticker",
    Channel.TRADE: "trade",
    Channel.CANDLE: "ohlc",
    Channel.BOOK: "book",
    Channel.EXECUTIONS: "executions",
    Channel.BALANCES: "balances",
}
CHANNELS = {name: channel for channel, name in CHANNEL_NAMES.items()}
MINUTES = {timeframe: timeframe.duration // timedelta(minutes=1) for timeframe in Timeframe}
TIMEFRAMES = {minutes: timeframe for timeframe, minutes in MINUTES.items()}
STATUSES = {
    **{status.value: status for status in PairStatus},
    "work_in_progress": PairStatus.MAINTENANCE,  # listed, but not tradable yet
}
SYMBOL = re.compile(r"([A-Za-z0-9][A-Za-z0-9.]{0,19})/([A-Za-z0-9][A-Za-z0-9.]{0,19})", re.ASCII)
MAX_PAIRS = 10_000  # Kraken lists some 1,500


class PairsBySymbol(dict[str, Pair]):
    """Pairs by Kraken's symbol; every symbol is parsed once. InvalidValue for one that is not of Kraken's form.

    `Pair.parse` reads what people type; Kraken also has `ETH2.S/ETH` and lower-case letters (`AAPLx/USD`).
    """

    def __missing__(self, symbol: str) -> Pair:
        match = SYMBOL.fullmatch(symbol)
        if match is None or match[1] == match[2]:
            raise InvalidValue(f"{symbol[:60]!a} is not a pair: Kraken writes them like BTC/USD")
        if len(self) >= MAX_PAIRS:
            self.clear()
        pair = self[symbol] = Pair(match[1], match[2])
        return pair
