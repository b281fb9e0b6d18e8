"""Asks a language model what a pair's newest articles mean for it, as they were known at the question's time."""

from collections.abc import Callable

from ml.agents.analyst import AGENT
from ml.agents.judgements import Judgement, judged, no_judgement
from ml.agents.news_analyst import NewsView, given, news_message
from ml.agents.panel import Question
from ml.agents.prompts import analyst_prompt
from ml.models.answers import Outcome
from ml.models.client import ModelClient
from ml.news.recent import PairNews

MIN_OUTPUT_TOKENS = 600


class ModelAnalyst:
    """`client` builds the model's client when it is first asked: what it lacks then costs the vote alone."""

    def __init__(self, news: PairNews, client: Callable[[], ModelClient[NewsView]]) -> None:
        self._news, self._build = news, client
        self._client: ModelClient[NewsView] | None = None

    def prepare(self) -> ModelClient[NewsView]:
        """Build the client, which loads the vendor's package; nothing is asked."""
        self._client = self._client or self._build()
        return self._client

    def __call__(self, question: Question) -> Judgement:
        items = self._news.articles(question.pair, question.at)
        if not items:
            return no_judgement(AGENT, Outcome.EMPTY, "no new article names the pair's assets")
        prompt = analyst_prompt()
        answer = self.prepare().ask(prompt, news_message(question.pair, items))
        return judged(AGENT, prompt, answer, given(items))
