"""Kraken spot: its REST interface and the Venue on it. Its names for assets and pairs are known in here only."""

from trading.venues.kraken.client import KrakenClient
from trading.venues.kraken.counters import Allowance, Limit, Tier
from trading.venues.kraken.credentials import Credentials

__all__ = ["Allowance", "Credentials", "KrakenClient", "Limit", "Tier"]
