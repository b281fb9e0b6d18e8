"""News from the network, built from [news]. Opens no connection."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from orchestration.clocks import machine_now
from orchestration.settings_schema import Settings

if TYPE_CHECKING:
    from ml.news.network import NetworkNews

WAITS = (
    2.5  # time limits of one feed that a reading of all may take: a redirect's name has to be looked up, too
)


def network_news(settings: Settings) -> "NetworkNews":
    """Return the feeds of the settings, and the vendor's interface where it is asked for."""
    from ml.news.coindesk import KEY, CoinDeskReader
    from ml.news.feeds import Feed, FeedReader
    from ml.news.fetch import FetchLimits
    from ml.news.network import NetworkNews
    from ml.news.reading import Reader, ReadingRules

    news = settings.news
    rules = ReadingRules(frozenset(news.languages), timedelta(hours=news.max_age_hours))
    limits = FetchLimits(news.max_bytes, news.timeout_seconds)
    readers: list[Reader] = [
        FeedReader(Feed(each.name, each.url, each.language), rules, limits, machine_now)
        for each in news.feeds
    ]
    if news.coindesk:
        readers.append(CoinDeskReader(os.environ.get(KEY, ""), rules, limits, machine_now))
    return NetworkNews(readers, machine_now, WAITS * news.timeout_seconds)
