import datetime as dt
from typing import Any

import pytest

from tests.doubles.stores import MemoryPerformance
from trading.errors import InvalidValue
from trading.ports import PerformanceStore
from trading.stores.postgres import PostgresPerformance

DAY = dt.date(2020, 2, 21)
NEXT = DAY + dt.timedelta(days=1)


def row(model: str = "technical", **changes: Any) -> dict[str, Any]:
    return {
        "model": model, "pair": "BTC/USDT", "mode": "shadow", "candles": 24, "votes": 3, "hit_rate": 2 / 3,
        "mean_return": 0.001, "pnl": -0.004, "cost_usd": 0.0, **changes,
    }  # fmt: skip


class PerformanceStoreContract:
    """Every performance store keeps these promises."""

    @pytest.fixture
    def store(self) -> PerformanceStore:
        raise NotImplementedError

    def test_scores_come_back_with_their_day_in_order(self, store: PerformanceStore) -> None:
        store.replace_day(NEXT, [row()])
        store.replace_day(DAY, [row("technical"), row("analyst", hit_rate=None, mean_return=None)])
        assert store.read(DAY, NEXT + dt.timedelta(days=1)) == [
            {"day": DAY, **row("analyst", hit_rate=None, mean_return=None)},
            {"day": DAY, **row()},
            {"day": NEXT, **row()},
        ]

    def test_the_end_is_not_included(self, store: PerformanceStore) -> None:
        store.replace_day(DAY, [row()])
        assert store.read(DAY - dt.timedelta(days=1), DAY) == []

    def test_a_day_is_replaced_as_a_whole(self, store: PerformanceStore) -> None:
        store.replace_day(DAY, [row("technical"), row("analyst")])
        store.replace_day(DAY, [row("technical", votes=4)])
        assert store.read(DAY, NEXT) == [{"day": DAY, **row(votes=4)}]

    def test_other_measures_are_stored_too(self, store: PerformanceStore) -> None:
        store.replace_day(DAY, [row(brier=0.21, tags=["a"])])
        assert store.read(DAY, NEXT) == [{"day": DAY, **row(brier=0.21, tags=["a"])}]

    @pytest.mark.parametrize(
        "wrong",
        [[row(pnl=float("nan"))], [row(), row()], [{"model": "technical"}], [row(brier=float("inf"))]],
    )
    def test_impossible_scores_leave_the_day_as_it_was(
        self, store: PerformanceStore, wrong: list[dict[str, Any]]
    ) -> None:
        store.replace_day(DAY, [row()])
        with pytest.raises(InvalidValue):
            store.replace_day(DAY, wrong)
        assert store.read(DAY, NEXT) == [{"day": DAY, **row()}]


class TestMemoryPerformance(PerformanceStoreContract):
    @pytest.fixture
    def store(self) -> PerformanceStore:
        return MemoryPerformance()


class TestPostgresPerformance(PerformanceStoreContract):
    @pytest.fixture
    def store(self, dsn: str) -> PerformanceStore:
        return PostgresPerformance(dsn, "binance-1h")
