"""What articles say about an asset, and what that adds up to for a pair at one moment."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from ml.news.articles import embedded_text
from trading.errors import InvalidValue, ModelUnreachable
from trading.market import Pair
from trading.ports import SENTIMENT_SCHEMA


@dataclass(frozen=True, slots=True)
class Sentiment:
    """One judgement of one text. `prompt_hash` is empty where no prompt exists; local models cost 0."""

    score: float  # -1 (bad for the asset) .. 1 (good)
    confidence: float  # 0 .. 1
    prompt_hash: str = ""
    cost_usd: float = 0.0
    tokens: int = 0  # read and written, failed attempts included

    def __post_init__(self) -> None:
        _in_range("score", self.score, -1.0, 1.0)
        _in_range("confidence", self.confidence, 0.0, 1.0)
        _in_range("cost_usd", self.cost_usd, 0.0, math.inf)


class SentimentModel(Protocol):
    """Judges texts, in order. None is an abstention: the model was heard and its answer cannot be used.

    ModelUnreachable when it cannot be heard. No answer is ever made up.
    """

    @property
    def name(self) -> str: ...

    def score(self, texts: Sequence[str]) -> Sequence[Sentiment | None]: ...


# Names and tickers as newspapers write them. Tickers that are English words count in capitals only.
_ANY_CASE = {
    "BTC": r"bitcoins?|btc|xbt",
    "XRP": r"xrp|ripple",
    "ETH": r"ethereum|ethers?|eth",
    "LTC": r"litecoins?|ltc",
    "BCH": r"bitcoin cash|bch",
    "DOGE": r"dogecoins?|doge",
    "ADA": r"cardano",
    "DOT": r"polkadot",
    "BNB": r"bnb|binance coin",
    "XLM": r"xlm|stellar lumens",
    "XMR": r"monero|xmr",
    "TRX": r"tron|trx",
    "AVAX": r"avax",
    "LINK": r"chainlink",
    "USDT": r"usdt|tether",
    "USDC": r"usdc|usd coin",
}
_IN_CAPITALS = {"SOL": r"SOL|Solana", "ADA": r"ADA", "DOT": r"DOT", "AVAX": r"Avalanche", "LINK": r"LINK"}
_OTHER_COINS = re.compile(r"\bbitcoin (?:cash|gold|sv|diamond)\b", re.IGNORECASE)  # not Bitcoin
# A plural or possessive s may follow; feeds that strip apostrophes write "Bitcoins rally".
_NAMES = [
    (asset, re.compile(rf"(?<![\w-])(?:{words})(?:['’]?s)?(?!\w)", flags))
    for table, flags in ((_ANY_CASE, re.IGNORECASE), (_IN_CAPITALS, re.NOFLAG))
    for asset, words in table.items()
]


def assets_in(text: str) -> set[str]:
    """Tickers of the assets that the text names, as a whole word; empty for crypto news in general."""
    without_forks = _OTHER_COINS.sub(" ", text)
    return {asset for asset, name in _NAMES if name.search(text if asset == "BCH" else without_forks)}


def score_articles(articles: pl.DataFrame, assets: Sequence[str], model: SentimentModel) -> pl.DataFrame:
    """SENTIMENT_SCHEMA: one row per article and each of `assets` that it names; the others get none.

    Title and opening are judged, once per article; a text that names several assets gives all the same score.
    An abstention gives no row. ModelUnreachable when every answer is one: a broken model is not quiet news.
    """
    wanted = set(assets)
    texts = [embedded_text(*row) for row in articles.select("title", "text").iter_rows()]
    named = [sorted(assets_in(text) & wanted) for text in texts]
    judged = [index for index, found in enumerate(named) if found]
    answers = dict(zip(judged, model.score([texts[index] for index in judged]), strict=True))
    if answers and not any(answers.values()):
        raise ModelUnreachable(f"{model.name} gave no usable answer to any of {len(answers)} articles")
    rows = [
        (
            article_id,
            asset,
            known_at,
            each.score,
            each.confidence,
            model.name,
            each.prompt_hash,
            each.cost_usd,
        )
        for index, (article_id, known_at) in enumerate(articles.select("article_id", "known_at").iter_rows())
        if (each := answers.get(index))
        for asset in named[index]
    ]
    return pl.DataFrame(rows, schema=SENTIMENT_SCHEMA, orient="row")


@dataclass(frozen=True, slots=True)
class PairSentiment:
    """News of a pair, newer articles weighing more; `score` above 0 favours the base over the quote."""

    score: float  # -1 .. 1
    confidence: float  # 0 .. 1
    articles: int
    newest_known_at: datetime
    model: str  # names joined with " + " when several judged


def pair_sentiment(
    rows_base: pl.DataFrame, rows_quote: pl.DataFrame | None, now: datetime, half_life_hours: float
) -> PairSentiment | None:
    """Weigh rows (SENTIMENT_SCHEMA) known strictly before `now` by age; None when there are none.

    `rows_quote` is None for a currency or a coin pegged to one; otherwise the quote's mean is taken from the
    base's and the difference kept within -1 .. 1. One of the two without an article counts as 0; both without
    is None: having nothing to read is not a neutral opinion.
    """
    if not (math.isfinite(half_life_hours) and half_life_hours > 0):
        raise InvalidValue(f"half_life_hours must be a finite number above 0, not {half_life_hours}")
    half_life = timedelta(hours=half_life_hours)
    base = rows_base.filter(pl.col("known_at") < now)
    quote = rows_base.clear() if rows_quote is None else rows_quote.filter(pl.col("known_at") < now)
    rows = pl.concat([base, quote])
    if rows.is_empty():
        return None
    difference = _mean(base, "score", half_life) - _mean(quote, "score", half_life)
    return PairSentiment(
        score=max(-1.0, min(1.0, difference)),
        confidence=min(1.0, _mean(rows, "confidence", half_life)),
        articles=rows["article_id"].n_unique(),
        newest_known_at=max(rows["known_at"].to_list()),
        model=" + ".join(sorted(rows["model"].unique())),
    )


def quote_is_crypto(pair: Pair) -> bool:
    """Whether news of the quote asset counts: not for a currency or a coin that is pegged to one."""
    return pair.quote in (_ANY_CASE.keys() | _IN_CAPITALS.keys()) - {"USDT", "USDC"}


def _mean(rows: pl.DataFrame, column: str, half_life: timedelta) -> float:
    """Weighted by age; 0 without rows. Ages from the newest row have the ratios of those from `now`."""
    if rows.is_empty():
        return 0.0
    times = rows["known_at"].to_list()
    newest = max(times)
    weights = [0.5 ** ((newest - time) / half_life) for time in times]
    return math.fsum(w * x for w, x in zip(weights, rows[column], strict=True)) / math.fsum(weights)


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise InvalidValue(f"{name} must be a finite number from {low} to {high}, not {value}")
