from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bad_days.trading_day import TradingDay, trading_day


@pytest.fixture
def day(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TradingDay]:
    with trading_day(tmp_path, dsn, monkeypatch) as opened:
        yield opened
