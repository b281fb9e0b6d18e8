"""Kraken spot: its REST interface and the Venue on it. Its names for assets and pairs are known in here only."""

from trading.venues.kraken.authentication import Credentials
from trading.venues.kraken.client import KrakenClient
from trading.venues.kraken.rate_limits import Allowance, RateLimit, Tier

__all__ = ["Allowance", "Credentials", "KrakenClient", "RateLimit", "Tier"]
