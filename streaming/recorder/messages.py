"""Messages of the bus from what the stream has: pure."""

from datetime import datetime

from streaming.events import Ticker, Trade
from streaming.messages import CandleMessage, ReplacedCandle, TickerMessage, TradeMessage
from trading.closed_candles import ClosedCandle, Restatement


def trade_message(origin: str, trade: Trade, known_at: datetime, backfilled: bool) -> TradeMessage:
    return TradeMessage(
        origin=origin,
        pair=str(trade.pair),
        trade_id=trade.trade_id,
        side=trade.side.value if trade.side else None,
        price=trade.price,
        quantity=trade.quantity,
        at=trade.at,
        known_at=max(known_at, trade.at),
        backfilled=backfilled,
    )


def ticker_message(origin: str, ticker: Ticker, known_at: datetime) -> TickerMessage:
    """Return the message; the time of a ticker that carries none is when it came."""
    at = ticker.at or known_at
    return TickerMessage(
        origin=origin,
        pair=str(ticker.pair),
        bid=ticker.bid,
        bid_quantity=ticker.bid_quantity,
        ask=ticker.ask,
        ask_quantity=ticker.ask_quantity,
        last=ticker.last,
        volume=ticker.volume,
        at=at,
        known_at=max(known_at, at),
    )


def candle_message(candle: ClosedCandle) -> CandleMessage:
    return _candle_message(candle, None)


def restatement_message(restatement: Restatement) -> CandleMessage:
    """Return the new revision with the one that it replaces."""
    before = restatement.before
    replaced = ReplacedCandle(
        open=before.open,
        high=before.high,
        low=before.low,
        close=before.close,
        volume=before.volume,
        trades=before.trades,
        basis=before.basis.value,
        known_at=before.known_at,
    )
    return _candle_message(restatement.after, replaced)


def _candle_message(candle: ClosedCandle, replaces: ReplacedCandle | None) -> CandleMessage:
    return CandleMessage(
        origin=candle.origin,
        pair=str(candle.pair),
        timeframe=candle.timeframe.value,
        open_time=candle.open_time,
        close_time=candle.close_time,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        trades=candle.trades,
        first_trade_id=candle.first_trade_id,
        last_trade_id=candle.last_trade_id,
        basis=candle.basis.value,
        known_at=candle.known_at,
        replaces=replaces,
    )
