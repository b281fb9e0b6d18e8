"""The articles that retrieval finds for a pair, in place of the newest ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ml.news.recent import NewsItem
from ml.retrieval.retriever import NewsQuestion, Retriever
from trading.market import Pair

QUESTION = "What moves the price of {base} now: regulation, adoption, hacks, supply, demand?"


@dataclass(frozen=True, slots=True)
class RetrievedNews:
    """Of each story the passage that is nearest to a fixed question. `retriever` is built when it is first needed."""

    retriever: Callable[[], Retriever]
    max_age: timedelta
    count: int

    def articles(self, pair: Pair, at: datetime) -> Sequence[NewsItem]:
        question = NewsQuestion(
            QUESTION.format(base=pair.base), as_of=at, pair=pair, count=self.count, since=at - self.max_age
        )
        return [
            NewsItem(each.article_id, each.known_at, each.source, each.title, each.passage)
            for each in self.retriever().retrieve(question).articles
        ]
