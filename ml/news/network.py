"""All news sources on the network as one NewsSource: read side by side, and one that fails silences no other."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl

from ml.news.reading import Clock, Reader, Reading
from trading.errors import MarketloomError, NewsUnreachable
from trading.ports import ARTICLE_SCHEMA

LOG = logging.getLogger("marketloom.news")
MAX_THREADS = 16
_MAX_SAID = 300  # characters of an error of no kind of ours


@dataclass(frozen=True, slots=True)
class NetworkReading:
    """What all sources had at one time; `failures` name those that could not be read, and why."""

    articles: pl.DataFrame  # ARTICLE_SCHEMA, by known_at
    failures: tuple[str, ...]
    sources: int


class NewsOnline(Protocol):
    """News that can be read now."""

    def read(self) -> NetworkReading: ...


class NetworkNews:
    """A NewsSource of the present: it has nothing of the days before. `seconds` bounds a reading of all sources."""

    def __init__(self, readers: Sequence[Reader], clock: Clock, seconds: float) -> None:
        self._readers = tuple(readers)
        self._clock = clock
        self._seconds = seconds
        self.refused: tuple[str, ...] = ()

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Read the sources where the time of now lies in [start, end); of other days they have nothing to say."""
        self.refused = ()
        if not start <= self._clock() < end:
            return ARTICLE_SCHEMA.to_frame()
        found = self.read()
        self.refused = found.failures
        return found.articles.filter(pl.col("known_at") >= start, pl.col("known_at") < end)

    def read(self) -> NetworkReading:
        """Read all sources. NewsUnreachable where none can be read: that is not the same as no news."""
        pool = ThreadPoolExecutor(max_workers=min(MAX_THREADS, max(len(self._readers), 1)))
        try:
            pending = {reader.name: pool.submit(reader.read) for reader in self._readers}
            wait(pending.values(), timeout=self._seconds)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # one that hangs in a name server ends by itself
        readings, failures = [], []
        for name, future in pending.items():
            try:
                readings.append(_result(name, future))
            except MarketloomError as error:
                failures.append(str(error))
            except Exception as error:
                # Whatever else a stranger's words have broken is a matter of that source alone.
                LOG.warning("%s: it cannot be read", name, exc_info=error)
                failures.append(
                    f"{name}: it cannot be read: {type(error).__name__}: {str(error)[:_MAX_SAID]}"
                )
        if not readings:
            raise NewsUnreachable(f"no news source can be read: {'; '.join(failures) or 'none is named'}")
        together = pl.concat([each.articles for each in readings]).unique(
            "article_id", keep="first", maintain_order=True
        )
        return NetworkReading(together.sort("known_at", "article_id"), tuple(failures), len(pending))


def _result(name: str, future: Future[Reading]) -> Reading:
    if future.cancelled() or not future.done():
        raise NewsUnreachable(f"{name}: it did not answer in time")
    found = future.result()
    if found.left_out:
        LOG.info(
            "%s: left out %s", name, ", ".join(f"{count} {why}" for why, count in found.left_out.items())
        )
    return found
