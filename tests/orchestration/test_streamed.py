"""Which market is recorded."""

import pytest

from orchestration.settings import load_settings
from orchestration.streamed import recorded, streams


@pytest.mark.parametrize("source", ["simulator", "files"])
def test_where_nothing_new_happens_kraken_is_recorded_beside_it(source: str) -> None:
    settings = load_settings(
        {"MARKETLOOM__MARKET__SOURCE": source, "MARKETLOOM__MARKET__UNTIL": "2020-01-01"}
    )
    assert not streams(settings)
    assert streams(recorded(settings))
    assert recorded(settings).market.origin == "kraken"


@pytest.mark.parametrize("source", ["kraken", "sandbox", "cryptocompare:kraken", "ccxt:binance"])
def test_a_source_of_its_own_is_left_as_it_is(source: str) -> None:
    settings = load_settings({"MARKETLOOM__MARKET__SOURCE": source})
    assert recorded(settings) is settings
