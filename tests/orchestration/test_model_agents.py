"""The models that [agents] names vote: each with its prompt, recorded in PostgreSQL, paid from the day's budget."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
import pytest

from ml.agents.hearing import Hearing
from ml.agents.judgements import GivenArticle
from ml.agents.model_trader import ModelTrader
from ml.agents.panel import ModelPanel
from ml.agents.vote_weights import VoteWeight
from ml.news.description import describe
from orchestration.model_agents import build_monitor, prepare
from orchestration.monitoring import StoredMarket
from orchestration.services import Services
from orchestration.settings import load_settings
from orchestration.system import POSTGRES
from tests.ml.agents.model_panel import answer, view
from tests.ml.agents.records import record, weights
from tests.ml.agents.test_hearing import QUESTION, SECONDS
from tests.ml.decision.decision_world import write_by_month
from tests.ml.decision.trading_day import PAIR, candles
from tests.ml.models.vendor_double import VendorDouble, serving
from trading.errors import InvalidSettings, NotAuthorised
from trading.ports import ARTICLE_SCHEMA
from trading.risk import Halt, HaltKind


@pytest.fixture
def vendor() -> Iterator[VendorDouble]:
    with serving(VendorDouble(answer=answer(100.0))) as double:
        yield double


@pytest.fixture
def environment(
    dsn: str, tmp_path: Path, vendor: VendorDouble, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    for name, text in {
        "MARKETLOOM_HOME": str(tmp_path),
        POSTGRES: dsn,
        "OPENAI_API_KEY": "sk-1",
        "MARKETLOOM__MODELS__NAMED__MINI": (
            f'{{provider = "openai", model = "gpt-4o-mini", base_url = "{vendor.url}/v1"}}'
        ),
        "MARKETLOOM__MODELS__NAMED__KEYLESS": '{provider = "anthropic", model = "claude-haiku-4-5"}',
        "MARKETLOOM__MODELS__SECONDS": "60.0",  # other tests may have the processor: the first call loads the SDK
        "MARKETLOOM__AGENTS__TRADERS__MINI": "aggressive",
        "MARKETLOOM__AGENTS__TRADERS__KEYLESS": "balanced",
    }.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    return monkeypatch


def test_each_named_trader_is_asked_with_its_prompt_and_one_without_a_key_costs_its_vote(
    environment: pytest.MonkeyPatch, vendor: VendorDouble, dsn: str
) -> None:
    services = Services.current()
    write_by_month(services.candle_store, PAIR, candles(0.0, rows=24))
    services.instrument_file.write(list(services.known_instruments.values()))
    models = services.input_reader.models
    assert models is services.model_panel  # those that a decision asks
    heard = Hearing().ask(QUESTION, SECONDS, models)
    mini, keyless = heard.judgements["trader-mini"], heard.judgements["trader-keyless"]
    assert (mini.outcome, mini.prompt, mini.tokens) == ("valid", "trader-aggressive/1", 110)
    assert mini.cost_usd == pytest.approx((100 * 0.15 + 10 * 0.60) / 1e6)
    assert (keyless.outcome, keyless.answer) == ("unreachable", "")
    assert "ANTHROPIC_API_KEY" in keyless.problem
    [(_, _, request)] = vendor.requests
    assert "As soon as one signal is clear".lower() in request["messages"][0]["content"].lower()
    assert json.loads(request["messages"][1]["content"])["pair"] == "BTC/USDT"
    assert max(request.get("max_tokens", 0), request.get("max_completion_tokens", 0)) == 600
    again = Hearing().ask(QUESTION, SECONDS, models).judgements["trader-mini"]
    assert (again.reused, again.cost_usd, again.answer) == (True, 0.0, mini.answer)
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT purpose, outcome, reused, estimated_usd > usd, prompt_hash FROM model_calls"
        ).fetchall()
    assert rows == [("trader-aggressive", "valid", 1, True, mini.prompt_hash)]


def test_a_warm_process_has_its_clients_and_asks_nobody(
    environment: pytest.MonkeyPatch, vendor: VendorDouble
) -> None:
    models = Services.current().model_panel
    prepare(models)
    mini, keyless = models.agents["trader-mini"], models.agents["trader-keyless"]
    assert isinstance(mini, ModelTrader)
    assert isinstance(keyless, ModelTrader)
    assert mini.prepare() is mini.prepare()
    with pytest.raises(NotAuthorised):  # its vote alone is lost
        keyless.prepare()
    assert vendor.requests == []


def test_where_one_model_is_asked_it_is_the_one_with_the_best_record(
    environment: pytest.MonkeyPatch, vendor: VendorDouble
) -> None:
    second = f'{{provider = "openai", model = "gpt-4.1-mini", base_url = "{vendor.url}/v1"}}'
    environment.delenv("MARKETLOOM__AGENTS__TRADERS__KEYLESS")
    environment.setenv("MARKETLOOM__MODELS__NAMED__OTHER", second)
    environment.setenv("MARKETLOOM__AGENTS__TRADERS__OTHER", "balanced")
    environment.setenv("MARKETLOOM__RISK__MODEL_BUDGET_USD", "10.0")
    services = Services.current()
    named = {name: spec.name for name, spec in services.settings.models.specs.items()}
    clients = [
        each.prepare() for each in services.model_panel.agents.values() if isinstance(each, ModelTrader)
    ]

    def may_spend(*records: VoteWeight) -> list[float]:
        known_at = datetime.now(UTC) - timedelta(seconds=1)
        services.weight_versions.record(weights(*records, known_at=known_at))
        return [each.ceiling_usd() for each in clients if each.ceiling_usd]

    good = record("trader-other", 1.5, named["other"])
    assert may_spend() == [9.0, 6.0]  # the first in the settings
    assert may_spend(good) == [6.0, 9.0]
    assert may_spend(good, record("trader-mini", 2.0, named["mini"])) == [9.0, 6.0]
    assert may_spend(record("trader-mini", 0.0, named["mini"])) == [6.0, 9.0]


def test_without_a_budget_nobody_is_asked_and_the_reason_is_recorded(
    environment: pytest.MonkeyPatch, vendor: VendorDouble
) -> None:
    environment.delenv("MARKETLOOM__AGENTS__TRADERS__KEYLESS")
    environment.setenv("MARKETLOOM__RISK__MODEL_BUDGET_USD", "0.0")
    heard = Hearing().ask(QUESTION, SECONDS, Services.current().model_panel)
    assert heard.judgements["trader-mini"].why.startswith("budget: ")
    assert vendor.requests == []


def test_by_default_no_model_is_asked(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    monkeypatch.setenv(POSTGRES, dsn)
    assert Services.current().model_panel == ModelPanel()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("TRADERS__GHOST", "balanced", "no entry ghost in"),
        ("TRADERS__MINI", "wild", 'is "wild": allowed is one of conservative'),
    ],
)
def test_a_trader_that_is_none_is_refused_with_its_name(
    environment: pytest.MonkeyPatch, name: str, text: str, words: str
) -> None:
    environment.setenv(f"MARKETLOOM__AGENTS__{name}", text)
    with pytest.raises(InvalidSettings, match=words):
        load_settings()


def test_the_named_analyst_reads_the_stored_articles(
    environment: pytest.MonkeyPatch, vendor: VendorDouble
) -> None:
    environment.setenv("MARKETLOOM__AGENTS__ANALYST_MODEL", "mini")
    for name in ("MINI", "KEYLESS"):
        environment.delenv(f"MARKETLOOM__AGENTS__TRADERS__{name}")
    vendor.answer = view(0.5, "a" * 16)
    services = Services.current()
    known = QUESTION.at - timedelta(hours=2)
    article = {
        "article_id": "a" * 16, "published_at": known, "known_at": known, "source": "wire", "text": "It did.",
        "title": "Bitcoin rises again", "url": "", "language": "en", "date_only": False,
    }  # fmt: skip
    services.news_store.put_articles(describe(pl.DataFrame([article], ARTICLE_SCHEMA)))
    judged = Hearing().ask(QUESTION, SECONDS, services.model_panel).judgements["analyst"]
    assert (judged.outcome, judged.prompt) == ("valid", "analyst/1")
    assert judged.articles == (GivenArticle("a" * 16, known),)
    [(_, _, request)] = vendor.requests
    assert "Bitcoin rises again" in request["messages"][1]["content"]


def test_the_monitor_reads_the_store_notes_its_insight_and_warns_a_person(
    environment: pytest.MonkeyPatch, vendor: VendorDouble, dsn: str
) -> None:
    environment.setenv("MARKETLOOM__AGENTS__MONITOR_MODEL", "mini")
    vendor.answer = json.dumps(
        {"severity": "warning", "headline": "Halted", "insight": "Equity fell.", "run": "market_setup"}
    )
    services = Services.current()
    write_by_month(services.candle_store, PAIR, candles(0.0, rows=24))
    at = services.clock().at
    services.journal.open_account(services.account.name, {"USDT": Decimal(1000)}, at)
    services.journal.begin_halts(
        services.account.name, [Halt(HaltKind.DRAWDOWN, at, None, "10 % below the peak")]
    )
    market = StoredMarket(services, build_monitor(services.settings, services.model_clients))
    cursor = market.changed("")
    look, _ = market.look()
    assert look.insight is not None
    assert look.insight.run == "market_setup"
    told = json.loads(vendor.requests[0][2]["messages"][1]["content"])
    assert told["halts"] == ["drawdown: 10 % below the peak"]
    assert market.changed(cursor) == ""  # neither the time nor its own look is a change
    with psycopg.connect(dsn) as connection:
        noted = connection.execute(
            "SELECT agent, level, message, details ->> 'run' FROM agent_logs"
        ).fetchall()
        alerts = connection.execute(
            "SELECT payload ->> 'text' FROM bus_event WHERE payload ->> 'kind' = 'insight'"
        ).fetchall()
    assert noted == [("monitor", "warning", "Halted: Equity fell.", "market_setup")]
    assert [text.endswith("noticed: Halted: Equity fell.") for (text,) in alerts] == [True]


def test_an_info_is_noted_and_warns_nobody(
    environment: pytest.MonkeyPatch, vendor: VendorDouble, dsn: str
) -> None:
    environment.setenv("MARKETLOOM__AGENTS__MONITOR_MODEL", "mini")
    vendor.answer = json.dumps({"severity": "info", "headline": "Quiet", "insight": "Nothing.", "run": None})
    services = Services.current()
    write_by_month(services.candle_store, PAIR, candles(0.0, rows=24))
    StoredMarket(services, build_monitor(services.settings, services.model_clients)).look()
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT level FROM agent_logs").fetchall() == [("info",)]
        assert (
            connection.execute("SELECT 1 FROM bus_event WHERE payload ->> 'kind' = 'insight'").fetchall()
            == []
        )
