"""Kraken's WebSocket v2 as a feed."""

from streaming.feeds.kraken.feed import PRIVATE_URL, PUBLIC_URL, KrakenFeed

__all__ = ["PRIVATE_URL", "PUBLIC_URL", "KrakenFeed"]
