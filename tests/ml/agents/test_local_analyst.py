"""A real model of 135 million weights as the analyst: it proves the path from articles to a vote, not the judgement."""

from datetime import date
from functools import partial

import pytest

from ml.agents.model_analyst import ModelAnalyst
from ml.agents.news_analyst import NewsView, news_opinion
from ml.agents.opinions import Action
from ml.models.budget import BudgetLadder
from ml.models.clients import ModelClients
from ml.models.local_server import serve_gguf
from ml.models.rules import ClientRules
from ml.models.specification import ModelSpec, Provider
from ml.news.recent import NewsItem
from tests.doubles.stores import MemoryModelCalls
from tests.ml.agents.test_hearing import QUESTION
from tests.ml.models.small_model import small_model

pytestmark = pytest.mark.service


class News:
    def articles(self, pair: object, at: object) -> list[NewsItem]:
        known = QUESTION.at
        return [NewsItem("a" * 16, known, "wire", "Bitcoin rises after the vote", "The price rose by 4 %.")]


def test_what_it_answers_is_recorded_costs_nothing_and_votes_only_by_what_it_was_given() -> None:
    path = small_model()
    serve_gguf(path, threads=1)
    calls = MemoryModelCalls()
    clients = ModelClients(
        calls, ClientRules(seconds=120.0, at_once=1), BudgetLadder(0.0), (), {}, lambda: date(2026, 12, 1)
    )
    spec = ModelSpec(Provider.LOCAL, str(path), max_output_tokens=128)
    judged = ModelAnalyst(News(), partial(clients.client, spec, NewsView))(QUESTION)
    assert judged.model.startswith("local/SmolLM2-135M-Instruct")
    assert (judged.answer != "", judged.cost_usd, judged.tokens > 0) == (True, 0.0, True)
    assert 1 <= len(calls.rows) <= 2
    opinion = news_opinion(judged, QUESTION.pair, QUESTION.at, QUESTION.analyst)
    assert opinion == news_opinion(judged, QUESTION.pair, QUESTION.at, QUESTION.analyst)
    if opinion.action in (Action.LONG, Action.SHORT):
        assert opinion.evidence["cited"] == ["a" * 16]
