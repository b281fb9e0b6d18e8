import datetime as dt
from typing import Any

import psycopg
import pytest

from tests.doubles.stores import MemoryModelCalls
from tests.doubles.threads import at_once
from trading.errors import InvalidValue
from trading.ports.model_calls import LATENCY_BUCKETS, ModelCall, ModelCalls, ModelResponse
from trading.stores.postgres import PostgresModelCalls

TEXT = 'ünï "quoted" \u202e and a newline\n'


def call(key: str = "a" * 64, estimated_usd: float = 0.25, **changes: Any) -> ModelCall:
    facts: dict[str, Any] = {
        "key": key, "purpose": "test", "provider": "openai", "model": "openai/small", "prompt_hash": "p" * 16,
        "request": {"messages": [["user", TEXT]]}, "attempt": 1, "estimated_usd": estimated_usd,
    }  # fmt: skip
    return ModelCall(**facts | changes)


def response(outcome: str = "valid", usd: float = 0.125, **changes: Any) -> ModelResponse:
    facts: dict[str, Any] = {
        "outcome": outcome, "answer": {"text": TEXT, "calls": [], "finish": "stop"}, "detail": "",
        "input_tokens": 100, "output_tokens": 10, "usd": usd, "seconds": 0.5,
    }  # fmt: skip
    return ModelResponse(**facts | changes)


def book(store: ModelCalls, what: ModelCall, came: ModelResponse) -> None:
    number = store.begin(what, None)
    assert number is not None
    store.finish(number, came)


class ModelCallsContract:
    """Every record of model calls keeps these promises."""

    @pytest.fixture
    def store(self) -> ModelCalls:
        raise NotImplementedError

    def test_an_answer_is_found_again_by_its_key_alone(self, store: ModelCalls) -> None:
        book(store, call(), response())
        assert store.answer("a" * 64) == response()
        assert store.answer("b" * 64) is None

    def test_the_newest_of_several_answers_is_found(self, store: ModelCalls) -> None:
        book(store, call(), response())
        book(store, call(), response("invalid"))
        assert store.answer("a" * 64) == response("invalid")

    def test_a_call_without_an_answer_is_not_found(self, store: ModelCalls) -> None:
        store.begin(call(), None)
        assert store.answer("a" * 64) is None
        book(store, call(), response("timeout", answer=None))
        assert store.answer("a" * 64) is None

    def test_an_open_call_counts_with_its_estimate_and_an_ended_one_with_its_cost(
        self, store: ModelCalls
    ) -> None:
        assert store.spent_today() == 0.0
        number = store.begin(call(), None)
        assert number is not None
        assert store.spent_today() == 0.25
        store.finish(number, response())
        assert store.spent_today() == 0.125

    def test_a_call_above_the_ceiling_leaves_no_trace(self, store: ModelCalls) -> None:
        assert store.begin(call(), 0.25) is not None
        assert store.begin(call(), 0.49) is None
        assert (store.spent_today(), len(store.usage())) == (0.25, 1)
        assert store.begin(call(), 0.5) is not None

    def test_several_at_once_never_take_the_last_dollar_twice(self, store: ModelCalls) -> None:
        numbers = at_once(lambda _: store.begin(call(), 1.0), range(8))
        assert sum(number is not None for number in numbers) == 4
        assert store.spent_today() == 1.0

    def test_usage_is_summed_by_provider_model_purpose_and_outcome(self, store: ModelCalls) -> None:
        book(store, call(), response(seconds=0.2))
        book(store, call(key="b" * 64), response(seconds=20.0))
        book(store, call(), response("timeout", answer=None, usd=0.25, seconds=10.0))
        store.begin(call(model="openai/large"), None)
        store.answer("a" * 64)
        open_, timeout, valid = store.usage()
        assert (open_.model, open_.outcome, open_.calls, open_.usd) == ("openai/large", "open", 1, 0.25)
        assert (timeout.outcome, timeout.calls, timeout.usd, timeout.reused) == ("timeout", 1, 0.25, 0)
        assert (valid.outcome, valid.calls, valid.usd, valid.reused) == ("valid", 2, 0.25, 1)
        assert (valid.input_tokens, valid.output_tokens, valid.seconds) == (200, 20, 20.2)
        assert valid.within == tuple(int(bound >= 0.2) + int(bound >= 20) for bound in LATENCY_BUCKETS)


class TestMemoryModelCalls(ModelCallsContract):
    @pytest.fixture
    def store(self) -> ModelCalls:
        return MemoryModelCalls()


class TestPostgresModelCalls(ModelCallsContract):
    @pytest.fixture
    def store(self, dsn: str) -> ModelCalls:
        return PostgresModelCalls(dsn)

    def test_what_other_days_have_cost_does_not_count(self, store: ModelCalls, dsn: str) -> None:
        store.begin(call(), None)
        for days, spent in ((0, 0.25), (1, 0.0)):
            with psycopg.connect(dsn) as connection:
                midnight = dt.datetime.combine(dt.datetime.now(dt.UTC).date(), dt.time(), dt.UTC)
                connection.execute(
                    "UPDATE model_calls SET began_at = %s", (midnight - dt.timedelta(microseconds=days),)
                )
            assert store.spent_today() == spent

    def test_several_processes_at_once_never_take_the_last_dollar_twice(self, dsn: str) -> None:
        stores = [PostgresModelCalls(dsn) for _ in range(8)]  # a connection each
        for each in stores:
            each.spent_today()
        numbers = at_once(lambda each: each.begin(call(), 1.0), stores)
        assert sum(number is not None for number in numbers) == 4

    def test_an_impossible_cost_is_refused(self, store: ModelCalls) -> None:
        with pytest.raises(InvalidValue):
            store.begin(call(estimated_usd=float("inf")), None)
        number = store.begin(call(), None)
        assert number is not None
        with pytest.raises(InvalidValue):
            store.finish(number, response(usd=-1.0))
