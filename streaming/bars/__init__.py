"""Trades into closed candles: pure, one builder per pair, several timeframes in one pass."""
