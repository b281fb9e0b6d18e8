import datetime as dt

import pytest

from tests.doubles.stores import MemoryPromotions
from trading.errors import InvalidValue
from trading.market import Pair
from trading.ports import PromotionLog
from trading.stores.postgres import PostgresPromotions

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
AT = dt.datetime(2020, 2, 21, tzinfo=dt.UTC)


class PromotionLogContract:
    """Every promotion log keeps these promises."""

    @pytest.fixture
    def log(self) -> PromotionLog:
        raise NotImplementedError

    def test_no_policy_is_champion_before_one_passed_the_gate(self, log: PromotionLog) -> None:
        assert log.champion(BTC) is None
        log.record(BTC, "first", False, {"folds": 1}, AT)
        assert log.champion(BTC) is None

    def test_the_policy_promoted_last_is_champion(self, log: PromotionLog) -> None:
        for policy, promoted in (("first", True), ("second", True), ("third", False)):
            log.record(BTC, policy, promoted, {}, AT)
        assert log.champion(BTC) == "second"

    def test_a_promotion_on_later_evidence_does_not_reach_back(self, log: PromotionLog) -> None:
        log.record(BTC, "first", True, {}, AT)
        log.record(BTC, "second", True, {}, AT + dt.timedelta(days=9))
        assert log.champion(BTC, AT - dt.timedelta(seconds=1)) is None
        assert log.champion(BTC, AT) == "first"
        assert log.champion(BTC, AT + dt.timedelta(days=9)) == "second"

    def test_pairs_have_their_own_champions(self, log: PromotionLog) -> None:
        log.record(BTC, "first", True, {}, AT)
        assert log.champion(XRP) is None
        assert log.history(XRP) == []

    def test_every_verdict_is_stored_with_its_evidence_newest_first(self, log: PromotionLog) -> None:
        log.record(BTC, "first", False, {"excess": -0.0, "folds": [1, 2]}, AT)
        log.record(BTC, "second", True, {"excess": 0.5}, AT + dt.timedelta(days=1))
        assert log.history(BTC) == [
            {
                "policy_id": "second", "promoted": True, "evidence": {"excess": 0.5},
                "at": AT + dt.timedelta(days=1),
            },
            {
                "policy_id": "first", "promoted": False, "evidence": {"excess": -0.0, "folds": [1, 2]},
                "at": AT,
            },
        ]  # fmt: skip

    def test_evidence_that_is_not_a_number_promotes_no_policy(self, log: PromotionLog) -> None:
        with pytest.raises(InvalidValue):
            log.record(BTC, "first", True, {"excess": float("nan")}, AT)
        assert log.champion(BTC) is None


class TestMemoryPromotions(PromotionLogContract):
    @pytest.fixture
    def log(self) -> PromotionLog:
        return MemoryPromotions()


class TestPostgresPromotions(PromotionLogContract):
    @pytest.fixture
    def log(self, dsn: str) -> PromotionLog:
        return PostgresPromotions(dsn, "binance-1h")

    def test_simulated_champions_never_trade_real_candles(self, dsn: str, log: PromotionLog) -> None:
        PostgresPromotions(dsn, "simulated-1h").record(BTC, "first", True, {}, AT)
        assert log.champion(BTC) is None
