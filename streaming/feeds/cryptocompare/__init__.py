"""CryptoCompare's streamer as a feed."""

from streaming.feeds.cryptocompare.feed import CryptoCompareFeed

__all__ = ["CryptoCompareFeed"]
