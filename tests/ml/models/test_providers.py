"""Every vendor's own SDK against a server on localhost: what is sent, what is read, and what failures become."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from ml.models.answers import Outcome
from ml.models.budget import BudgetLadder
from ml.models.clients import ModelClients
from ml.models.prices import DatedPrice, TokenPrice, price_of
from ml.models.prompt_files import Prompt
from ml.models.rules import ClientRules
from ml.models.specification import ModelSpec, Provider, Structure
from ml.sentiment.language_model import SentimentAnswer
from tests.doubles.stores import MemoryModelCalls
from trading.errors import InvalidSettings, InvalidValue, NotAuthorised

from .vendor_double import VendorDouble, serving

PROMPT = Prompt("test", 1, "Judge.")
TODAY = date(2026, 12, 1)
VENDORS = [Provider.OPENAI, Provider.ANTHROPIC, Provider.XAI, Provider.DEEPSEEK, Provider.COMPATIBLE]
KEYS = {
    "OPENAI_API_KEY": "sk-openai-1", "ANTHROPIC_API_KEY": "sk-ant-1", "XAI_API_KEY": "xai-1",
    "DEEPSEEK_API_KEY": "sk-deep-1", "MY_KEY": "my-key-1",
}  # fmt: skip
PRICES = [DatedPrice(f"{provider}/small", date(2026, 1, 1), TokenPrice(1.0, 10.0)) for provider in VENDORS]


@pytest.fixture
def vendor() -> Iterator[VendorDouble]:
    with serving(VendorDouble()) as double:
        yield double


def spec_of(provider: Provider, vendor: VendorDouble, **changes: Any) -> ModelSpec:
    path = "" if provider is Provider.ANTHROPIC else "/v1"
    key = "MY_KEY" if provider is Provider.COMPATIBLE else ""
    return replace(ModelSpec(provider, "small", base_url=f"{vendor.url}{path}", key_variable=key), **changes)


def clients(
    calls: MemoryModelCalls | None = None, seconds: float = 60.0, keys: Mapping[str, str] = KEYS
) -> ModelClients:
    rules = ClientRules(seconds=seconds)
    return ModelClients(calls or MemoryModelCalls(), rules, BudgetLadder(1.0), PRICES, keys, lambda: TODAY)


@pytest.mark.parametrize("provider", VENDORS)
def test_a_question_is_answered_in_the_schema_by_the_vendors_own_means(
    provider: Provider, vendor: VendorDouble
) -> None:
    calls, spec = MemoryModelCalls(), spec_of(provider, vendor)
    answer = clients(calls).client(spec, SentimentAnswer).ask(PROMPT, "headline")
    assert (answer.outcome, answer.value) == (Outcome.VALID, SentimentAnswer(score=0.5, confidence=0.75))
    ((_, headers, request),) = vendor.requests
    sent = headers.get("x-api-key") or headers["authorization"].removeprefix("Bearer ")
    assert sent == KEYS[spec.key_name]
    assert request["model"] == "small"
    schema = SentimentAnswer.model_json_schema()["properties"]
    if spec.means is Structure.JSON_SCHEMA:
        form = request["response_format"]["json_schema"]
        assert (form["strict"], form["schema"]["properties"]) == (True, schema)
    else:
        (tool,) = request["tools"]
        parameters = (
            tool["input_schema"] if provider is Provider.ANTHROPIC else tool["function"]["parameters"]
        )
        assert parameters["properties"] == schema
    cost = (100 * 1.0 + 10 * 10.0) / 1e6  # also of a proxy on this machine, which forwards to whom it likes
    assert (answer.tokens, answer.cost_usd) == (110, pytest.approx(cost))
    assert calls.rows[0].call.model.startswith(f"{provider}/127.0.0.1:")
    assert KEYS[spec.key_name] not in str(calls.rows)


@pytest.mark.parametrize("provider", VENDORS)
@pytest.mark.parametrize(
    ("status", "outcome"), [(401, Outcome.REFUSED), (429, Outcome.UNREACHABLE), (500, Outcome.UNREACHABLE)]
)
def test_a_failure_of_the_vendor_is_one_request_one_outcome_and_shows_no_key(
    provider: Provider, status: int, outcome: Outcome, vendor: VendorDouble
) -> None:
    vendor.status, spec = status, spec_of(provider, vendor)
    calls = MemoryModelCalls()
    answer = clients(calls).client(spec, SentimentAnswer).ask(PROMPT, "headline")
    assert (answer.outcome, answer.value, len(vendor.requests)) == (outcome, None, 1)
    assert KEYS[spec.key_name] not in answer.problem + str(calls.rows)
    assert calls.spent_today() == 0.0


@pytest.mark.parametrize("provider", VENDORS)
def test_a_vendor_that_never_answers_is_a_timeout(provider: Provider, vendor: VendorDouble) -> None:
    vendor.silent.set()
    client = clients(seconds=0.3).client(spec_of(provider, vendor), SentimentAnswer)
    assert client.ask(PROMPT, "headline").outcome is Outcome.TIMEOUT


@pytest.mark.parametrize("provider", [Provider.OPENAI, Provider.COMPATIBLE])
def test_an_answer_that_openais_sdk_does_not_return_is_truncated_and_paid(
    provider: Provider, vendor: VendorDouble
) -> None:
    vendor.answer, vendor.finish = '{"score": 0.', "length"
    calls = MemoryModelCalls()
    answer = clients(calls).client(spec_of(provider, vendor), SentimentAnswer).ask(PROMPT, "headline")
    assert (answer.outcome, len(vendor.requests)) == (Outcome.TRUNCATED, 2)
    assert [row.response.input_tokens for row in calls.rows if row.response] == [100, 100]


@pytest.mark.parametrize("means", [Structure.NONE, Structure.JSON_MODE])
def test_free_text_is_held_to_the_schema_too(means: Structure, vendor: VendorDouble) -> None:
    client = clients().client(spec_of(Provider.OPENAI, vendor, structure=means), SentimentAnswer)
    assert client.ask(PROMPT, "a").outcome is Outcome.VALID
    vendor.answer = "It is good news: 0.5."
    assert client.ask(PROMPT, "b").outcome is Outcome.INVALID
    forms = [request.get("response_format") for _, _, request in vendor.requests]
    assert forms == [None if means is Structure.NONE else {"type": "json_object"}] * 3


def test_means_that_a_provider_does_not_have_are_refused(vendor: VendorDouble) -> None:
    with pytest.raises(InvalidSettings, match="function_calling and none are"):
        clients().client(
            spec_of(Provider.ANTHROPIC, vendor, structure=Structure.JSON_SCHEMA), SentimentAnswer
        )


def test_engines_on_this_machine_are_asked_one_by_one(vendor: VendorDouble) -> None:
    specs = [ModelSpec(Provider.OLLAMA, "a"), spec_of(Provider.OPENAI, vendor)]
    assert [clients().client(spec, SentimentAnswer).at_once for spec in specs] == [1, 4]


def test_a_missing_key_is_named_by_its_variable(vendor: VendorDouble) -> None:
    with pytest.raises(NotAuthorised, match="set ANTHROPIC_API_KEY"):
        clients(keys={}).client(spec_of(Provider.ANTHROPIC, vendor), SentimentAnswer)


def test_a_paid_model_without_a_price_is_not_asked(vendor: VendorDouble) -> None:
    spec = replace(spec_of(Provider.OPENAI, vendor), model="huge")
    with pytest.raises(InvalidSettings, match="no price of openai/huge on 2026-12-01"):
        clients().client(spec, SentimentAnswer)


def test_the_newest_price_that_is_valid_on_the_day_counts() -> None:
    prices = [DatedPrice("openai/a", date(2026, month, 1), TokenPrice(month, 0)) for month in (3, 1, 6)]
    spec = ModelSpec(Provider.OPENAI, "a")
    assert [price_of(spec, prices, date(2026, month, 15)).input for month in (1, 2, 3, 5, 6, 12)] == [
        1,
        1,
        3,
        3,
        6,
        6,
    ]
    with pytest.raises(InvalidSettings):
        price_of(spec, prices, date(2025, 12, 31))


LOCAL_PROXY = ModelSpec(Provider.COMPATIBLE, "a", base_url="http://localhost:4000/v1")
OLLAMA = ModelSpec(Provider.OLLAMA, "a")
ZERO = TokenPrice(0.0, 0.0)


@pytest.mark.parametrize(
    "host", ["", "http://127.0.0.1:1", "http://[::1]:1", "http://192.168.1.9:1", "http://gpu1:1"]
)
def test_ollama_in_a_private_network_is_free_without_a_price(host: str) -> None:
    assert price_of(replace(OLLAMA, base_url=host), [], TODAY) == ZERO


@pytest.mark.parametrize(
    "spec",
    [
        LOCAL_PROXY,
        replace(OLLAMA, base_url="https://ollama.com"),
        replace(OLLAMA, base_url="http://134744072"),
        replace(OLLAMA, model="gpt-oss:120b-cloud"),
        ModelSpec(Provider.COMPATIBLE, "a", base_url="https://api.example.org/v1"),
        ModelSpec(Provider.OPENAI, "a"),
    ],
)
def test_what_may_send_a_bill_is_not_asked_without_a_price(spec: ModelSpec) -> None:
    with pytest.raises(InvalidSettings, match=r"has no price of .* add one"):
        price_of(spec, [], TODAY)


@pytest.mark.parametrize("spec", [LOCAL_PROXY, OLLAMA, ModelSpec(Provider.LOCAL, "a")])
def test_a_price_that_is_written_always_counts(spec: ModelSpec) -> None:
    price = TokenPrice(10.0, 30.0)
    assert price_of(spec, [DatedPrice(spec.priced_as, date(2026, 1, 1), price)], TODAY) == price
    with pytest.raises(InvalidSettings):
        price_of(spec, [DatedPrice(spec.priced_as, date(2027, 1, 1), price)], TODAY)


def test_a_server_of_your_own_is_free_where_the_price_table_says_so_and_no_public_address_is() -> None:
    row = [DatedPrice("openai-compatible/a", date(2026, 1, 1), ZERO)]
    assert price_of(LOCAL_PROXY, row, TODAY) == ZERO
    with pytest.raises(
        InvalidSettings, match=r"costs nothing, and https://api.example.org/v1 is not in a private"
    ):
        price_of(replace(LOCAL_PROXY, base_url="https://user:secret@api.example.org/v1/"), row, TODAY)
    with pytest.raises(
        InvalidSettings, match=r"input = 0.0 and output = 0.0 where the model runs on your own"
    ):
        price_of(LOCAL_PROXY, [], TODAY)


def test_a_compatible_model_needs_an_address_and_its_password_is_no_part_of_its_name() -> None:
    with pytest.raises(InvalidValue, match="base_url"):
        ModelSpec(Provider.COMPATIBLE, "a")
    spec = ModelSpec(Provider.COMPATIBLE, "a", base_url="https://user:secret@api.example.org/v1")
    assert spec.name == "openai-compatible/api.example.org/a"


@pytest.mark.parametrize(
    ("names", "times"),
    [
        ([], 1),
        (["a"], 4),
        (["a", "b"], 2),
        (["a", "b", "c"], 1),
        (["a", "a", "b", "a", "a", "a"], 1),
    ],
)
def test_so_many_pairs_are_asked_at_once_as_every_address_takes_calls(names: list[str], times: int) -> None:
    specs = [ModelSpec(Provider.OPENAI, name, base_url="https://models.example/v1") for name in names]
    assert clients().times_at_once(specs) == times


def test_an_engine_on_this_machine_is_asked_of_one_pair_after_the_other() -> None:
    specs = [ModelSpec(Provider.ANTHROPIC, "claude"), ModelSpec(Provider.OLLAMA, "qwen2.5:7b")]
    assert clients().times_at_once(specs[:1]) == 4
    assert clients().times_at_once(specs) == 1
