import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any, Literal

import numpy as np
import pytest

from ml.models.budget import BudgetLadder
from ml.models.clients import ModelClients
from ml.models.ollama import (
    OllamaSettings,
    embedding_model,
    ollama_is_running,
)
from ml.models.rules import ClientRules
from ml.models.specification import ModelSpec, Provider
from ml.news.embeddings import OllamaEmbedder
from ml.news.minilm import PackagedMiniLM
from ml.news.select import choose_embedder
from ml.sentiment.classifier import ClassifierSentiment
from ml.sentiment.language_model import LanguageModelSentiment, SentimentAnswer
from ml.sentiment.lexicon import LexiconSentiment
from ml.sentiment.pair import Sentiment, SentimentModel
from ml.sentiment.prompts import SENTIMENT_PROMPT_HASH
from ml.sentiment.select import choose_sentiment_model
from tests.doubles.stores import MemoryModelCalls
from trading.errors import InvalidValue, ModelUnreachable

from .ollama_double import OllamaDouble, serving

GOOD = '{"score": -0.5, "confidence": 0.75}'


@pytest.fixture
def ollama() -> Iterator[OllamaDouble]:
    with serving(OllamaDouble(chat_answers=[GOOD])) as double:
        yield double


def settings_for(url: str, timeout: float = 5.0) -> OllamaSettings:
    return OllamaSettings(url, "chatty:7b", "vectors", timeout)


@pytest.fixture
def no_server() -> OllamaSettings:
    """An address on which no server listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return settings_for(f"http://127.0.0.1:{taken.getsockname()[1]}")


def clients() -> ModelClients:
    ladder = BudgetLadder(0.0)
    return ModelClients(MemoryModelCalls(), ClientRules(), ladder, (), {}, lambda: date(2026, 12, 1))


def choose_sentiment(settings: OllamaSettings, preference: str, simulated: bool = False) -> SentimentModel:
    return choose_sentiment_model(settings, preference, {}, clients, simulated=simulated)


def language_model(settings: OllamaSettings) -> LanguageModelSentiment:
    spec = ModelSpec(Provider.OLLAMA, settings.chat_model, base_url=settings.base_url)
    client = clients().client(spec, SentimentAnswer, seconds=settings.timeout_seconds)
    return LanguageModelSentiment(client)


def test_one_request_shows_whether_ollama_is_running(ollama: OllamaDouble, no_server: OllamaSettings) -> None:
    assert ollama_is_running(ollama.url, 5.0)
    assert not ollama_is_running(no_server.base_url, 5.0)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"models": [{}]}', b'{"models": null}'])
def test_something_else_on_the_port_is_not_ollama(ollama: OllamaDouble, body: bytes) -> None:
    ollama.raw_body = body
    assert not ollama_is_running(ollama.url, 5.0)


def test_a_server_that_never_responds_is_not_running(ollama: OllamaDouble) -> None:
    ollama.silent.set()
    assert not ollama_is_running(ollama.url, 0.05)


def test_auto_takes_ollama_where_it_has_the_models(ollama: OllamaDouble) -> None:
    settings = settings_for(ollama.url)
    assert choose_sentiment(settings, "auto").name == "ollama/chatty:7b"
    assert choose_embedder(settings, "auto").name == "ollama/vectors"


def test_auto_takes_the_embedded_models_where_ollama_lacks_its_own(ollama: OllamaDouble) -> None:
    ollama.models = ("chatty:70b",)
    settings = settings_for(ollama.url)
    assert isinstance(choose_sentiment(settings, "auto"), ClassifierSentiment)
    assert isinstance(choose_embedder(settings, "auto"), PackagedMiniLM)


def test_auto_takes_the_embedded_models_where_no_server_runs(no_server: OllamaSettings) -> None:
    assert isinstance(choose_sentiment(no_server, "auto"), ClassifierSentiment)
    assert isinstance(choose_sentiment(no_server, "auto", simulated=True), LexiconSentiment)
    assert isinstance(choose_embedder(no_server, "auto"), PackagedMiniLM)


def test_the_embedded_models_are_taken_by_name_without_a_request(ollama: OllamaDouble) -> None:
    settings = settings_for(ollama.url)
    assert isinstance(choose_sentiment(settings, "lexicon"), LexiconSentiment)
    assert isinstance(choose_sentiment(settings, "classifier"), ClassifierSentiment)
    assert isinstance(choose_embedder(settings, "packaged"), PackagedMiniLM)
    assert ollama.requests == []


def test_ollama_by_name_where_no_server_runs_says_how_to_start_it(no_server: OllamaSettings) -> None:
    with pytest.raises(ModelUnreachable, match="`ollama serve`, then `ollama pull chatty:7b`"):
        choose_sentiment(no_server, "ollama")
    with pytest.raises(ModelUnreachable, match="`ollama serve`, then `ollama pull vectors`"):
        choose_embedder(no_server, "ollama")


def test_ollama_by_name_without_the_model_says_how_to_get_it(ollama: OllamaDouble) -> None:
    ollama.models = ()
    with pytest.raises(ModelUnreachable, match="does not have chatty:7b: `ollama pull chatty:7b`"):
        choose_sentiment(settings_for(ollama.url), "ollama")


def test_a_chat_gives_sentiment_tokens_and_no_cost(ollama: OllamaDouble) -> None:
    model = choose_sentiment(settings_for(ollama.url), "ollama")
    assert model.score(["Bitcoin falls"]) == [Sentiment(-0.5, 0.75, SENTIMENT_PROMPT_HASH, 0.0, tokens=135)]


def test_a_chat_request_has_the_schema_temperature_zero_and_no_streaming(ollama: OllamaDouble) -> None:
    language_model(settings_for(ollama.url)).score(["Bitcoin falls"])
    ((path, request),) = ollama.requests
    assert path == "/api/chat"
    assert request["format"] == SentimentAnswer.model_json_schema()
    assert request["options"]["temperature"] == 0
    assert request["stream"] is False
    assert [message["role"] for message in request["messages"]] == ["system", "user"]


def test_a_model_that_thinks_is_told_not_to_and_its_thinking_is_no_answer(ollama: OllamaDouble) -> None:
    ollama.chat_answers = ["<think>\nGood for the ledger.\n</think>\n\n" + GOOD]
    answer = language_model(settings_for(ollama.url)).score(["Bitcoin falls"])
    assert answer == [Sentiment(-0.5, 0.75, SENTIMENT_PROMPT_HASH, 0.0, tokens=135)]
    assert ollama.requests[0][1]["think"] is False


def test_prose_is_asked_again_once_and_then_abstained_from(ollama: OllamaDouble) -> None:
    ollama.chat_answers = ["It is bad news."]
    assert language_model(settings_for(ollama.url)).score(["Bitcoin falls"]) == [None]
    assert len(ollama.requests) == 2


def test_prose_followed_by_a_valid_answer_is_that_answer(ollama: OllamaDouble) -> None:
    ollama.chat_answers = ["It is bad news.", GOOD]
    (answer,) = language_model(settings_for(ollama.url)).score(["Bitcoin falls"])
    assert answer is not None
    assert answer.score == -0.5
    assert answer.tokens == 270


Failure = Literal["refused", "silent", "unknown model", "broken body", "empty body"]


@pytest.fixture(params=["refused", "silent", "unknown model", "broken body", "empty body"])
def failing(
    request: pytest.FixtureRequest, ollama: OllamaDouble, no_server: OllamaSettings
) -> OllamaSettings:
    failure: Failure = request.param
    settings = settings_for(ollama.url)
    match failure:
        case "refused":
            return no_server
        case "silent":
            ollama.silent.set()
            return replace(settings, timeout_seconds=0.05)
        case "unknown model":
            return replace(settings, chat_model="stranger", embedding_model="stranger")
        case "broken body":
            ollama.raw_body = b'{"message": '
        case "empty body":
            ollama.raw_body = b"{}"
    return settings


def test_a_chat_that_fails_is_unreachable_and_never_neutral(failing: OllamaSettings) -> None:
    with pytest.raises(ModelUnreachable, match=r"ollama/(chatty:7b|stranger) did not answer"):
        language_model(failing).score(["Bitcoin falls"])


def test_vectors_that_fail_are_unreachable(failing: OllamaSettings) -> None:
    with pytest.raises(ModelUnreachable):
        OllamaEmbedder(embedding_model(failing), "double").embed(["Bitcoin falls"])


def test_vectors_of_ollama_come_at_unit_length(ollama: OllamaDouble) -> None:
    embedder = choose_embedder(settings_for(ollama.url), "ollama")
    np.testing.assert_allclose(embedder.embed(["a", "b"]), [[0.6, 0.8]] * 2, rtol=1e-6)
    assert embedder.dimensions == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"base_url": "localhost:11434"}, "base_url"),
        ({"chat_model": " "}, "chat_model"),
        ({"embedding_model": ""}, "embedding_model"),
        ({"timeout_seconds": 0.0}, "timeout_seconds"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds"),
    ],
)
def test_impossible_settings_are_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue, match=field):
        replace(settings_for("http://127.0.0.1:11434"), **change)


def test_the_imports_of_the_live_path_load_no_model_library() -> None:
    modules = (
        "ml.models.ollama, ml.models.clients, ml.agents.analyst, ml.agents.consensus, ml.sentiment.pair, "
        "ml.sentiment.lexicon, ml.sentiment.select, ml.news.select"
    )
    heavy = (
        "{'torch', 'langchain_core', 'langchain_ollama', 'sentence_transformers', 'vaderSentiment', 'httpx'}"
    )
    code = f"import sys, {modules}; sys.exit(' '.join({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == ""
