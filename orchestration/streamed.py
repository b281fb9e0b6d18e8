"""Says whether a dataset is streamed: apart from the feeds, which import the libraries of sockets and messages."""

from orchestration.settings_schema import Settings


def streams(settings: Settings) -> bool:
    """Return whether the source of the settings can be streamed: new candles close while one listens."""
    kind, _, market = settings.market.source.partition(":")
    has_stream = kind in ("kraken", "sandbox") or (kind == "cryptocompare" and _is_venue(market))
    return has_stream and not settings.market.is_history


def recorded(settings: Settings) -> Settings:
    """Return the settings of the market that `marketloom stream` records: Kraken's where the source is on this machine.

    Nothing new happens in a simulation or in files. What is recorded beside them is a market of its own, by its origin.
    """
    if settings.market.source not in ("simulator", "files"):
        return settings
    market = settings.market.model_copy(update={"source": "kraken", "until": None})
    return settings.model_copy(update={"market": market})


def _is_venue(market: str) -> bool:
    return bool(market) and market not in ("cadli", "cccagg")
