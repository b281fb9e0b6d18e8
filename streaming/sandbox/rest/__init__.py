"""Kraken's REST API over the sandbox exchange: routes for an aiohttp application."""

from streaming.sandbox.rest.routes import routes

__all__ = ["routes"]
