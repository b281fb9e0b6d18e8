"""The messengers of this process, and a thread for each that tells it what the bus says.

The addresses come from MARKETLOOM_ALERT_URLS alone. They hold secrets: nothing here shows one.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestration.services import Services
from streaming.alerting.messenger import AppriseMessenger
from streaming.alerting.redaction import secrets_of_environment, secrets_of_urls
from streaming.alerting.sink import AlertSink
from streaming.bus.postgres import PostgresBus
from streaming.sinks.runner import NoMetrics, SinkRunner
from trading.errors import InvalidSettings

URLS = "MARKETLOOM_ALERT_URLS"
BATCH = 100  # records in memory at once, for each messenger
STOP_SECONDS = 5.0  # for a message that is being sent; what was not sent then comes at the next start
LOG = logging.getLogger("marketloom.alerts")


@dataclass(frozen=True, slots=True)
class Messengers:
    """Those of the environment, and what is wrong with the other addresses."""

    ready: tuple[AppriseMessenger, ...]
    problems: tuple[str, ...]


def messengers(environment: Mapping[str, str] = os.environ) -> Messengers:
    """Build a messenger per address, which are separated by spaces or lines."""
    urls = environment.get(URLS, "").split()
    secrets = secrets_of_environment(environment) | secrets_of_urls(urls)
    ready: list[AppriseMessenger] = []
    problems: list[str] = []
    for number, name in enumerate(_names(urls), 1):
        try:
            ready.append(AppriseMessenger(name, urls[number - 1], secrets))
        except InvalidSettings as error:
            problems.append(f"{URLS}, address {number}: {error}")
    return Messengers(tuple(ready), tuple(problems))


def _names(urls: list[str]) -> list[str]:
    """Name each by its scheme, a second one of the same with a number: all else may be a secret."""
    schemes = [scheme if found else "unknown" for scheme, found, _ in (url.partition("://") for url in urls)]
    counts = [schemes[: number + 1].count(scheme) for number, scheme in enumerate(schemes)]
    return [
        scheme if count == 1 else f"{scheme}-{count}" for scheme, count in zip(schemes, counts, strict=True)
    ]


class _Log(NoMetrics):
    """Says once that a messenger fails, and once that it works again."""

    def __init__(self) -> None:
        self._failing = ""

    def written(self, group: str, records: int, seconds: float) -> None:
        if self._failing:
            LOG.info("%s: works again", group)
        self._failing = ""

    def dead_letters(self, group: str, count: int, reason: str) -> None:
        LOG.error("%s: a record cannot be read: %s", group, reason)

    def failed(self, group: str, error: Exception, again_in: float) -> None:
        if str(error) != self._failing:
            LOG.warning("%s: %s: %s", group, type(error).__name__, error)
        self._failing = str(error)


@dataclass
class AlertWorkers:
    """One worker per messenger. They follow the outbox itself, so that no broker and no stream has to run for them."""

    build: Callable[[], Services] = Services.current
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _runners: dict[str, SinkRunner] = field(default_factory=dict)
    _messengers: Messengers | None = None

    def tend(self) -> None:
        """Start the workers, and those again that have ended of an error. InvalidSettings: it is to be called again."""
        if self._messengers is None:
            self._messengers = messengers(self.environment)
            for problem in self._messengers.problems:
                LOG.error("%s", problem)
            names = ", ".join(each.name for each in self._messengers.ready)
            LOG.info("people are told through %s", names or f"nothing: {URLS} is not set (docs/alerts.md)")
        for messenger in self._messengers.ready:
            runner = self._runners.get(messenger.name)
            if runner is None or not runner.alive:
                self._start(messenger)

    def stop(self) -> None:
        """End the workers. What they have not sent stays on the bus."""
        for runner in self._runners.values():
            if not runner.stop(STOP_SECONDS):
                LOG.warning("%s: the last message was still being sent", runner.group)

    def _start(self, messenger: AppriseMessenger) -> None:
        services = self.build()
        outbox = PostgresBus(services.dsn)
        sink = AlertSink(messenger, services.settings.alerts.limits)
        runner = self._runners[messenger.name] = SinkRunner(outbox, sink, outbox, _Log(), batch=BATCH)
        runner.start()
