"""A real model of 135 million weights in this process: it proves the path, not the judgement."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import httpx
import pytest

from ml.models import local_server
from ml.models.answers import Outcome
from ml.models.budget import BudgetLadder
from ml.models.clients import ModelClients
from ml.models.gguf import fingerprint
from ml.models.local_server import serve_gguf
from ml.models.prices import DatedPrice, TokenPrice
from ml.models.rules import ClientRules
from ml.models.specification import ModelSpec, Provider, Structure
from ml.sentiment.language_model import LanguageModelSentiment, SentimentAnswer
from ml.sentiment.prompts import SENTIMENT_PROMPT, delimited
from tests.doubles.stores import MemoryModelCalls
from trading.errors import InvalidModel, InvalidSettings

from .small_model import small_model

pytestmark = pytest.mark.service
HEADLINES = ["Bitcoin falls after an exchange was hacked", "XRP rallies as the lawsuit ends"]
PATIENT = ClientRules(seconds=120.0, at_once=1)  # other tests may have the processor


@pytest.fixture(scope="module")
def gguf() -> Path:
    path = small_model()
    serve_gguf(path, threads=1)
    return path


@pytest.fixture
def calls() -> MemoryModelCalls:
    return MemoryModelCalls()


@pytest.fixture
def clients(calls: MemoryModelCalls) -> Callable[[], ModelClients]:
    return lambda: ModelClients(calls, PATIENT, BudgetLadder(0.0), (), {}, lambda: date(2026, 12, 1))


def local(gguf: Path, structure: Structure | None = None) -> ModelSpec:
    return ModelSpec(Provider.LOCAL, str(gguf), structure=structure, max_output_tokens=64)


def test_constrained_decoding_gives_a_valid_answer_and_the_result_says_which_file_gave_it(
    gguf: Path, clients: Callable[[], ModelClients], calls: MemoryModelCalls
) -> None:
    model = LanguageModelSentiment(clients().client(local(gguf), SentimentAnswer))
    found = model.score(HEADLINES)
    assert [each is not None and each.tokens > 0 and each.cost_usd == 0.0 for each in found] == [True, True]
    assert model.name == f"local/SmolLM2-135M-Instruct.Q4_1.gguf#{fingerprint(gguf)}"
    assert {row.call.model for row in calls.rows} == {model.name}
    recorded = [
        json.loads(row.response.answer["text"]) for row in calls.rows if row.response and row.response.answer
    ]
    assert [each.keys() for each in recorded] == [{"score", "confidence"}] * 2


@pytest.mark.parametrize("means", [Structure.FUNCTION_CALLING, Structure.JSON_MODE, Structure.NONE])
def test_without_constrained_decoding_the_small_model_does_not_keep_the_form_and_abstains(
    means: Structure, gguf: Path, clients: Callable[[], ModelClients], calls: MemoryModelCalls
) -> None:
    client = clients().client(local(gguf, means), SentimentAnswer)
    answer = client.ask(SENTIMENT_PROMPT, delimited("Rain in Bern"))
    assert answer.value is None
    assert answer.outcome.is_abstention
    assert len(calls.rows) == 2  # the repair was tried


def test_the_same_server_is_any_openai_compatible_address_and_a_limit_of_tokens_is_truncation(
    gguf: Path, clients: Callable[[], ModelClients]
) -> None:
    server = serve_gguf(gguf)
    spec = ModelSpec(
        Provider.COMPATIBLE, "small", base_url=server.base_url, key_variable="KEY", max_output_tokens=4
    )
    owned = clients()
    owned.environment = {"KEY": server.key}
    owned.prices = [DatedPrice(spec.priced_as, date(2020, 1, 1), TokenPrice(0.0, 0.0))]  # a server of our own
    answer = owned.client(spec, SentimentAnswer).ask(SENTIMENT_PROMPT, delimited(HEADLINES[0]))
    assert (answer.outcome, answer.value) == (Outcome.TRUNCATED, None)


def test_only_this_process_may_ask_the_engine(gguf: Path) -> None:
    server = serve_gguf(gguf)
    assert server.base_url.startswith("http://127.0.0.1:")
    request = {"model": "x", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    stranger = httpx.post(f"{server.base_url}/chat/completions", json=request, timeout=60)
    assert stranger.status_code == 401


def test_a_file_is_loaded_once(gguf: Path) -> None:
    assert serve_gguf(gguf) is serve_gguf(Path(str(gguf)))


def test_a_file_that_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    wrong = tmp_path / "model.gguf"
    with pytest.raises(InvalidModel, match="No such file"):
        fingerprint(wrong)
    wrong.write_bytes(b"PK\x03\x04")
    with pytest.raises(InvalidModel, match="is no GGUF file"):
        fingerprint(wrong)


def test_without_the_engine_its_extra_is_named(
    gguf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local_server, "is_installed", lambda: False)
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF and more")
    with pytest.raises(InvalidSettings, match=r"marketloom\[local-llm\]"):
        serve_gguf(other)
