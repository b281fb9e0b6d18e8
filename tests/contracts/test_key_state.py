"""Nonces and rate counters of an API key: the same promises in memory and in PostgreSQL, whoever asks at once."""

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import chain, pairwise

import psycopg
import pytest

from tests.doubles.clock import Clock
from tests.doubles.stores import MemoryKeyState
from tests.doubles.threads import at_once
from trading.api_keys import Charge, KeyState
from trading.errors import InvalidValue, StoreUnreachable
from trading.stores.postgres import Database, PostgresKeyState

CALLS = Charge("calls", cost=1.0, ceiling=10.0, decay=0.5)
FROZEN = 1e-9  # decay: nothing comes back during a test
COUNT = 200
PROGRAM = f"""
import sys
from trading.api_keys import Charge
from trading.stores.postgres import PostgresKeyState
state, nonces = PostgresKeyState(sys.argv[1]), []
while True:
    permit = state.spend("key", Charge("calls", 1.0, {COUNT}.0, {FROZEN}))
    if permit.nonce is None:
        break
    nonces += [permit.nonce, state.next_nonce("key")]
print(*nonces)
"""


class KeyStateContract:
    @pytest.fixture
    def state(self) -> KeyState:
        raise NotImplementedError

    @pytest.fixture
    def let_pass(self) -> Callable[[float], None]:
        """Move the clock of the counters by so many seconds, or back."""
        raise NotImplementedError

    def test_a_nonce_is_the_time_in_microseconds(self, state: KeyState) -> None:
        before = time.time_ns() // 1000
        assert before - 1 <= state.next_nonce("key") <= time.time_ns() // 1000 + 1

    def test_nonces_rise_also_where_the_clock_goes_back(
        self, state: KeyState, let_pass: Callable[[float], None]
    ) -> None:
        nonces = [state.next_nonce("key")]
        for seconds in (-900.0, 0.0, -5.0, 3.0):
            let_pass(seconds)
            nonces += [state.next_nonce("key"), state.spend("key", CALLS).nonce or 0]
        assert all(one < other for one, other in pairwise(nonces))

    def test_threads_never_get_the_same_nonce_and_each_sees_them_rise(self, state: KeyState) -> None:
        each = at_once(lambda count: [state.next_nonce("key") for _ in range(count)], [COUNT] * 4)
        assert all(one < other for nonces in each for one, other in pairwise(nonces))
        assert len(set(chain(*each))) == 4 * COUNT

    def test_keys_share_neither_nonces_nor_counters(self, state: KeyState) -> None:
        state.exhaust("one", "calls", 10.0)
        assert state.spend("one", CALLS).nonce is None
        assert state.spend("other", CALLS).nonce is not None

    def test_calls_get_a_nonce_until_the_ceiling_is_reached_and_then_the_time_to_wait(
        self, state: KeyState
    ) -> None:
        for _ in range(10):
            assert state.spend("key", CALLS).nonce is not None
        permit = state.spend("key", CALLS)
        assert permit.nonce is None
        assert 0 < permit.wait <= 1 / 0.5

    def test_a_call_that_has_to_wait_is_not_charged(self, state: KeyState) -> None:
        state.exhaust("key", "calls", 10.0)
        waits = [state.spend("key", CALLS).wait for _ in range(5)]
        assert max(waits) <= 1 / 0.5
        assert state.level("key", "calls", 0.5) <= 10.0

    def test_who_waits_as_long_as_told_gets_a_nonce(
        self, state: KeyState, let_pass: Callable[[float], None]
    ) -> None:
        state.exhaust("key", "calls", 10.0)
        let_pass(state.spend("key", CALLS).wait)
        assert state.spend("key", CALLS).nonce is not None

    def test_a_counter_goes_down_with_time_and_never_below_zero(
        self, state: KeyState, let_pass: Callable[[float], None]
    ) -> None:
        state.exhaust("key", "calls", 10.0)
        let_pass(8.0)
        assert state.level("key", "calls", 0.5) == pytest.approx(6.0, abs=0.5)
        let_pass(3600.0)
        assert state.level("key", "calls", 0.5) == 0.0

    def test_a_clock_that_is_set_back_delays_no_call_longer_than_the_counter_itself(
        self, state: KeyState, let_pass: Callable[[float], None]
    ) -> None:
        state.exhaust("key", "calls", 10.0)
        let_pass(-900.0)
        permit = state.spend("key", CALLS)
        assert permit.nonce is None
        let_pass(permit.wait)
        assert state.spend("key", CALLS).nonce is not None

    def test_a_higher_ceiling_still_allows_what_a_lower_one_does_not(self, state: KeyState) -> None:
        reserved = Charge("calls", 1.0, 14.0, FROZEN)
        while state.spend("key", Charge("calls", 1.0, 10.0, FROZEN)).nonce is not None:
            pass
        assert [state.spend("key", reserved).nonce is not None for _ in range(5)] == [True] * 4 + [False]

    def test_counters_are_apart(self, state: KeyState) -> None:
        state.exhaust("key", "orders of XBTUSDT", 10.0)
        assert state.spend("key", CALLS).nonce is not None
        assert state.level("key", "never charged", 1.0) == 0.0

    def test_threads_together_never_spend_more_than_the_budget(self, state: KeyState) -> None:
        def spend(_: int) -> int:
            spent = 0
            while state.spend("key", Charge("calls", 1.0, COUNT, FROZEN)).nonce is not None:
                spent += 1
            return spent

        assert sum(at_once(spend, range(4))) == COUNT

    def test_a_cost_above_the_ceiling_is_refused_instead_of_waited_for(self) -> None:
        with pytest.raises(InvalidValue, match="never fits"):
            Charge("calls", 6.0, 5.0, 1.0)


class TestMemoryKeyState(KeyStateContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock(time.time())

    @pytest.fixture
    def state(self, clock: Clock) -> KeyState:
        return MemoryKeyState(clock)

    @pytest.fixture
    def let_pass(self, clock: Clock) -> Callable[[float], None]:
        def passing(seconds: float) -> None:
            clock.now += seconds

        return passing

    def test_a_nonce_is_the_time_in_microseconds(self, state: KeyState) -> None:
        assert MemoryKeyState(lambda: 1_700_000_000.0).next_nonce("key") == 1_700_000_000_000_000


class TestPostgresKeyState(KeyStateContract):
    @pytest.fixture
    def state(self, dsn: str) -> KeyState:
        return PostgresKeyState(dsn)

    @pytest.fixture
    def let_pass(self, dsn: str) -> Callable[[float], None]:
        """The database's clock is the machine's: what it wrote is moved the other way."""

        def passing(seconds: float) -> None:
            with psycopg.connect(dsn) as connection:
                connection.execute(
                    "UPDATE api_key_counters SET at = at - make_interval(secs => %s)", (seconds,)
                )
                connection.execute("UPDATE api_key_nonces SET nonce = nonce - %s", (int(seconds * 1e6),))

        return passing

    def test_nonces_rise_also_where_the_clock_goes_back(
        self, state: KeyState, let_pass: Callable[[float], None]
    ) -> None:
        """A clock behind the last nonce: the next is one more, until the clock has passed it."""
        ahead = 900.0
        let_pass(0.0)
        state.next_nonce("key")
        let_pass(-ahead)
        first, second = state.next_nonce("key"), state.spend("key", CALLS).nonce
        assert second == first + 1
        assert first > time.time_ns() // 1000 + 800 * 1_000_000

    def test_processes_share_nonces_and_budget(self, dsn: str) -> None:
        command = [sys.executable, "-c", PROGRAM, dsn]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        outputs = [process.communicate(timeout=120)[0] for process in running]
        each = [[int(nonce) for nonce in output.split()] for output in outputs]
        assert all(one < other for nonces in each for one, other in pairwise(nonces))
        assert len(set(chain(*each))) == sum(map(len, each)) == 2 * COUNT

    def test_a_connection_that_was_ended_is_opened_again_unnoticed(self, dsn: str, state: KeyState) -> None:
        first = state.next_nonce("key")
        with Database(dsn).transaction() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        assert state.next_nonce("key") > first

    def test_without_the_server_nothing_may_be_sent(self) -> None:
        absent = PostgresKeyState("postgresql://nobody@127.0.0.1:1/none")
        with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1:1/none"):
            absent.spend("key", CALLS)
        with pytest.raises(StoreUnreachable):
            absent.next_nonce("key")
