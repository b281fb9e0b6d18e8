"""The hot tier, in process and in Redis: newest values, each with its age, whoever writes in whatever order."""

import importlib.util
import random
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.redis_server import RedisServer
from trading.errors import InvalidSettings, StoreUnreachable
from trading.feature_rows import FeatureRow
from trading.market import Pair, Timeframe
from trading.ports import HotTier
from trading.ports.hot import Aged, BookTop, HotValue, LastPrice, rank
from trading.stores.hot_memory import HotMemory
from trading.stores.hot_redis import HotRedis

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = START + timedelta(hours=2)
WINDOW = 5


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def price(second: float, value: float = 100.0, sequence: int = 0, pair: Pair = BTC) -> LastPrice:
    return LastPrice(pair, value, at(second), at(second + 0.1), sequence)


def top(second: float, bid: float | None = 99.0, pair: Pair = BTC) -> BookTop:
    return BookTop(pair, bid, bid and 1.5, 101.0, 2.5, at(second), at(second + 0.1))


def row(
    minute: int, revision: int = 0, timeframe: Timeframe = Timeframe.M1, pair: Pair = BTC, value: float | None = 0.25
) -> FeatureRow:  # fmt: skip
    close = START + minute * timeframe.duration
    values = {"rsi_14": value, "btc_correlation": None}
    return FeatureRow("kraken", pair, timeframe, close, values, "quiet", close + timedelta(seconds=revision))


class HotTierContract:
    """Every hot tier keeps these promises."""

    @pytest.fixture
    def tier(self) -> HotTier:
        raise NotImplementedError

    def test_what_was_never_put_is_none_and_no_row(self, tier: HotTier) -> None:
        assert tier.price(BTC, NOW) is None
        assert tier.book_top(BTC, NOW) is None
        assert tier.features(BTC, Timeframe.M1, NOW) == []

    def test_values_come_back_as_they_were_put_with_their_age(self, tier: HotTier) -> None:
        values = price(1, 64_000.1, 7), top(2), row(3)
        tier.put(values)
        assert tier.price(BTC, at(11)) == Aged(values[0], timedelta(seconds=10))
        assert tier.book_top(BTC, at(2.5)) == Aged(values[1], timedelta(seconds=0.5))
        assert tier.features(BTC, Timeframe.M1, at(240)) == [Aged(values[2], timedelta(minutes=1))]

    def test_a_value_that_nobody_renews_shows_its_age_instead_of_passing_for_fresh(
        self, tier: HotTier
    ) -> None:
        tier.put([price(0)])
        found = tier.price(BTC, at(86_400))
        assert found is not None
        assert found.age == timedelta(days=1)

    def test_an_empty_side_of_the_book_stays_empty(self, tier: HotTier) -> None:
        tier.put([top(1, bid=None)])
        found = tier.book_top(BTC, NOW)
        assert found is not None
        assert (found.value.bid, found.value.bid_quantity, found.value.ask) == (None, None, 101.0)

    def test_pairs_and_timeframes_do_not_mix(self, tier: HotTier) -> None:
        tier.put([price(1, 1.0, pair=XRP), price(0, 2.0), row(1, pair=XRP), row(1, timeframe=Timeframe.H1)])
        assert [_price(tier, pair) for pair in (BTC, XRP)] == [2.0, 1.0]
        assert len(tier.features(XRP, Timeframe.M1, NOW)) == len(tier.features(BTC, Timeframe.H1, NOW)) == 1
        assert tier.features(BTC, Timeframe.M1, NOW) == []

    def test_an_older_value_never_replaces_a_newer_one(self, tier: HotTier) -> None:
        tier.put([price(5, 105.0), top(5, 98.0)])
        tier.put([price(4, 104.0), top(4, 97.0)])
        assert _price(tier, BTC) == 105.0
        found = tier.book_top(BTC, NOW)
        assert found is not None
        assert found.value.bid == 98.0

    def test_of_several_trades_of_one_moment_the_last_one_counts(self, tier: HotTier) -> None:
        tier.put([price(5, 105.0, 12), price(5, 104.0, 11)])
        assert _price(tier, BTC) == 105.0
        tier.put([price(5, 106.0, 13)])
        assert _price(tier, BTC) == 106.0

    def test_times_to_the_microsecond_decide(self, tier: HotTier) -> None:
        tier.put([price(5.000002, 2.0)])
        tier.put([price(5.000001, 1.0)])
        assert _price(tier, BTC) == 2.0

    def test_a_new_revision_of_a_row_replaces_it_and_an_older_one_does_not(self, tier: HotTier) -> None:
        tier.put([row(1), row(2), row(1, revision=3, value=0.75)])
        tier.put([row(1, revision=2, value=0.5)])
        assert _values(tier) == [0.75, 0.25]

    def test_the_window_keeps_the_newest_rows_in_order_of_time(self, tier: HotTier) -> None:
        minutes = list(range(20))
        random.Random(3).shuffle(minutes)
        tier.put([row(minute, value=float(minute)) for minute in minutes[:10]])
        tier.put([row(minute, value=float(minute)) for minute in minutes[10:]])
        assert _values(tier) == [15.0, 16.0, 17.0, 18.0, 19.0]

    def test_a_row_older_than_a_full_window_does_not_enter_it(self, tier: HotTier) -> None:
        tier.put([row(minute, value=float(minute)) for minute in range(10, 10 + WINDOW)])
        tier.put([row(9, value=9.0)])
        assert _values(tier) == [10.0, 11.0, 12.0, 13.0, 14.0]

    def test_putting_a_batch_again_changes_nothing(self, tier: HotTier) -> None:
        batch = [price(1), price(2, 7.0), top(1), row(1), row(2), row(1, revision=1, value=0.5)]
        tier.put(batch)
        before = _everything(tier)
        tier.put(batch)
        tier.put(batch[:2])
        assert _everything(tier) == before

    def test_an_empty_batch_is_taken(self, tier: HotTier) -> None:
        tier.put([])
        assert _everything(tier) == (None, None, [])

    def test_writers_in_any_order_leave_the_newest_values(self, tier: HotTier) -> None:
        batch: list[HotValue] = [price(second, float(second)) for second in range(50)]
        batch += [
            row(minute, revision, value=minute + revision / 10)
            for minute in range(5)
            for revision in range(4)
        ]

        def write(seed: int) -> None:
            mine = batch.copy()
            random.Random(seed).shuffle(mine)
            for start in range(0, len(mine), 7):
                tier.put(mine[start : start + 7])

        writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert _price(tier, BTC) == 49.0
        assert _values(tier) == [0.3, 1.3, 2.3, 3.3, 4.3]

    def test_a_tier_says_that_it_is_filled_only_once_somebody_has_filled_it(self, tier: HotTier) -> None:
        assert not tier.is_filled()
        tier.put([price(1)])
        assert not tier.is_filled()
        tier.mark_filled()
        assert tier.is_filled()


def _price(tier: HotTier, pair: Pair) -> float | None:
    found = tier.price(pair, NOW)
    return found and found.value.price


def _values(tier: HotTier) -> Sequence[float | None]:
    return [each.value.values["rsi_14"] for each in tier.features(BTC, Timeframe.M1, NOW)]


def _everything(tier: HotTier) -> tuple[object, object, object]:
    return tier.price(BTC, NOW), tier.book_top(BTC, NOW), tier.features(BTC, Timeframe.M1, NOW)


class TestHotMemory(HotTierContract):
    @pytest.fixture
    def tier(self) -> HotTier:
        return HotMemory(WINDOW)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.mark.service
class TestHotRedis(HotTierContract):
    @pytest.fixture
    def tier(self, server: RedisServer, request: pytest.FixtureRequest) -> Iterator[HotTier]:
        tier = HotRedis(server.url, request.node.name, WINDOW)
        yield tier
        tier.close()

    def test_another_process_s_client_sees_the_same_values_and_origins_do_not_mix(
        self, server: RedisServer, tier: HotTier, request: pytest.FixtureRequest
    ) -> None:
        tier.put([price(1), top(1), row(1)])
        same, other = HotRedis(server.url, request.node.name), HotRedis(server.url, "another")
        assert _everything(same) == _everything(tier)
        assert _everything(other) == (None, None, [])
        same.close()
        other.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, "--requirepass", "s3cret")
    server.start()
    yield server
    server.stop()


def _with_password(server: RedisServer, password: str = "s3cret") -> HotRedis:
    return HotRedis(server.url.replace("redis://", f"redis://:{password}@"), "kraken", WINDOW)


@pytest.mark.service
def test_a_server_that_is_away_is_named_without_its_password_and_serves_again_once_it_is_back(
    own_server: RedisServer,
) -> None:
    tier = _with_password(own_server)
    tier.put([price(1)])
    tier.mark_filled()
    own_server.stop()
    with pytest.raises(
        StoreUnreachable, match=f"Redis does not answer at 127.0.0.1:{own_server.port}/0"
    ) as failed:
        tier.put([price(2)])
    assert "s3cret" not in str(failed.value)
    with pytest.raises(StoreUnreachable):
        tier.price(BTC, NOW)
    own_server.start()
    assert not tier.is_filled()  # its memory was lost, and it does not hide that
    tier.put([price(3, 3.0)])
    assert _price(tier, BTC) == 3.0
    tier.close()


@pytest.mark.service
def test_a_wrong_password_is_a_setting_to_mend_and_is_not_printed(own_server: RedisServer) -> None:
    tier = _with_password(own_server, "wr0ng")
    with pytest.raises(InvalidSettings, match="refuses the user or password of ") as failed:
        tier.put([price(1)])
    assert "wr0ng" not in str(failed.value)
    tier.close()


def test_a_missing_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trading.stores.hot_redis.find_spec", lambda name: None)
    with pytest.raises(InvalidSettings, match=r'pip install "marketloom\[redis\]"'):
        HotRedis("redis://127.0.0.1:1/0", "kraken")


def test_an_address_that_is_none_is_refused() -> None:
    assert importlib.util.find_spec("redis")
    with pytest.raises(InvalidSettings, match=r"\[hot\] redis_url is no address"):
        HotRedis("redis://127.0.0.1:6379/nothing?db=x", "kraken")


STEPS = st.lists(
    st.builds(price, st.integers(0, 5), st.floats(1, 9), st.integers(0, 3)), min_size=1, max_size=20
)


@given(STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_in_process_the_greatest_rank_wins_whatever_the_order(values: list[LastPrice]) -> None:
    tier = HotMemory()
    for value in values:
        tier.put([value])
    found = tier.price(BTC, NOW)
    assert found is not None
    assert rank(found.value) == max(map(rank, values))
