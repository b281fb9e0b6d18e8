"""ccxt.pro's own handling of Kraken's frames, offline: one market by hand, and a client that connects nowhere."""

from importlib import import_module
from typing import Any

import orjson

MARKET = {
    "id": "XBTUSD",
    "symbol": "BTC/USD",
    "base": "BTC",
    "quote": "USD",
    "baseId": "XXBT",
    "quoteId": "ZUSD",
    "type": "spot",
    "spot": True,
    "active": True,
    "taker": 0.004,
    "maker": 0.0025,
    "precision": {"price": 0.1, "amount": 1e-8},
    "limits": {},
    "info": {},
}


class Reader:
    """Reads a frame as ccxt's client does: orjson, then the exchange's handler, which keeps what it understood."""

    def __init__(self, depth: int = 25) -> None:
        self._exchange: Any = import_module("ccxt.pro").kraken()  # untyped
        self._exchange.set_markets([MARKET])
        self._client = _Client({"orderbook@BTC/USD": {"limit": depth}})

    def read(self, frame: str) -> None:
        self._exchange.handle_message(self._client, orjson.loads(frame))


class _Client:
    def __init__(self, subscriptions: dict[str, Any]) -> None:
        self.subscriptions = subscriptions

    def resolve(self, result: object, key: str) -> None:
        """Nobody waits."""

    def reject(self, error: Exception, key: str) -> None:
        raise error
