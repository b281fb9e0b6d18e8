import datetime as dt

import pytest

from tests.doubles.stores import MemoryWeights
from trading.errors import InvalidValue
from trading.ports import WeightLog
from trading.stores.postgres.vote_weights import PostgresWeights

AT = dt.datetime(2020, 2, 21, tzinfo=dt.UTC)
DAY, TICK = dt.timedelta(days=1), dt.timedelta(microseconds=1)


class WeightLogContract:
    """Every log of versions keeps these promises."""

    @pytest.fixture
    def log(self) -> WeightLog:
        raise NotImplementedError

    def test_before_the_first_version_nothing_is_known(self, log: WeightLog) -> None:
        log.record("one", "{}", AT)
        assert log.newest(AT) is None
        assert log.newest(AT + TICK) == "{}"

    def test_a_later_version_does_not_reach_back(self, log: WeightLog) -> None:
        for number in range(3):
            log.record(f"{number}", f"[{number}]", AT + number * DAY)
        assert [log.newest(AT + number * DAY + TICK) for number in range(4)] == ["[0]", "[1]", "[2]", "[2]"]
        assert log.history() == ["[0]", "[1]", "[2]"]

    def test_of_two_that_were_known_at_once_the_second_counts(self, log: WeightLog) -> None:
        log.record("one", "[1]", AT)
        log.record("two", "[2]", AT)
        assert log.newest(AT + TICK) == "[2]"
        assert log.history() == ["[1]", "[2]"]

    def test_the_same_version_again_changes_nothing(self, log: WeightLog) -> None:
        log.record("one", "[1]", AT)
        log.record("one", "[1]", AT)
        assert log.history() == ["[1]"]

    def test_nothing_is_put_before_what_decisions_may_have_read(self, log: WeightLog) -> None:
        log.record("one", "[1]", AT)
        with pytest.raises(InvalidValue):
            log.record("two", "[2]", AT - DAY)
        assert log.history() == ["[1]"]


class TestMemoryWeights(WeightLogContract):
    @pytest.fixture
    def log(self) -> WeightLog:
        return MemoryWeights()


class TestPostgresWeights(WeightLogContract):
    @pytest.fixture
    def log(self, dsn: str) -> WeightLog:
        return PostgresWeights(dsn, "binance-1h")

    def test_records_on_simulated_candles_weigh_no_real_votes(self, dsn: str, log: WeightLog) -> None:
        PostgresWeights(dsn, "simulated-1h").record("one", "[1]", AT)
        assert log.newest(AT + TICK) is None
        assert log.history() == []
