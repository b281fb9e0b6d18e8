"""Candles built from a venue's trades, each published when it is proven; gaps where it is not."""

from streaming.bars.pair_candles import Built, PairCandles

__all__ = ["Built", "PairCandles"]
