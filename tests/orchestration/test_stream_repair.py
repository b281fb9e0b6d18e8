"""The history that repairs of the sandbox's market read."""

from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.settings import load_settings
from orchestration.stream_repair import trade_history
from tests.streaming.sandbox.running import sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, STARTS


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # its connections end with the process
def test_nothing_is_proven_beyond_the_time_of_the_sandboxs_market(tmp_path: Path) -> None:
    """Its server's own time is the machine's: years later, in which nothing would have traded."""
    with sandbox(tmp_path / "sandbox") as exchange:
        exchange.advance(600)
        port = exchange.url.rpartition(":")[2]
        home = {"MARKETLOOM_HOME": str(tmp_path), "MARKETLOOM__MARKET__SOURCE": "sandbox"}
        history = trade_history(load_settings(home | {"MARKETLOOM__SANDBOX__PORT": port}), tmp_path)
        assert history is not None
        pages = list(history.pages(BTC, STARTS, None))
        assert STARTS + timedelta(minutes=9) < pages[-1].until < STARTS + timedelta(minutes=10)
        assert sum(len(page.rows) for page in pages) > 10
