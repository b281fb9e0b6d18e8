"""The sensor of fresh news: looks whether a source has what is not stored yet, and asks for one run of the day.

It stores nothing itself. What is missing is found in the store and not in a cursor: a run that failed is asked for
again, and one that was started by hand leaves nothing to ask for.
"""

import dagster as dg

from ml.news.network import NetworkReading, NewsOnline
from trading.ports import NewsStore

JOB = "news"
SENSOR = "fresh_news"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def news_sensors(reads_feeds: bool, poll_seconds: float) -> list[dg.SensorDefinition]:
    """Return the sensor where news come from the network; files and the simulator bring nothing by themselves."""
    return [_news_sensor(round(poll_seconds))] if reads_feeds else []


def _news_sensor(seconds: int) -> dg.SensorDefinition:
    @dg.sensor(
        name=SENSOR,
        job_name=JOB,
        minimum_interval_seconds=seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Asks for the running day's news when a feed has an article that is not stored.",
    )
    def fresh_news(
        context: dg.SensorEvaluationContext,
        news_source: dg.ResourceParam[NewsOnline],
        news_store: dg.ResourceParam[NewsStore],
    ) -> dg.SensorResult:
        if context.instance.get_runs(dg.RunsFilter(job_name=JOB, statuses=UNFINISHED), limit=1):
            return dg.SensorResult(skip_reason="the run of news before has not ended yet")
        found = news_source.read()
        for failure in found.failures:
            context.log.warning(failure)
        return result_of(found, news_store.stored(found.articles["article_id"].to_list()))

    return fresh_news


def result_of(found: NetworkReading, stored: set[str]) -> dg.SensorResult:
    """Ask for the day of now, which is the partition of what becomes known, where something is not stored yet."""
    fresh = [
        known_at
        for article, known_at in found.articles.select("article_id", "known_at").iter_rows()
        if article not in stored
    ]
    if not fresh:
        return dg.SensorResult(skip_reason=f"no new article in {_read(found)}")
    day = max(fresh).date().isoformat()
    return dg.SensorResult(
        run_requests=[dg.RunRequest(partition_key=day, tags={"new_articles": str(len(fresh))})]
    )


def _read(found: NetworkReading) -> str:
    read = found.sources - len(found.failures)
    lost = f"; {len(found.failures)} could not be read: {'; '.join(found.failures)}" if found.failures else ""
    return f"{read} {'source' if read == 1 else 'sources'}{lost}"
