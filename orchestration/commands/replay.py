"""`marketloom replay`: decides again from what was recorded, one decision or many, and names what is otherwise now."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any

from rich.console import Console

from ml.decision.replay import Replay, Replayer, Verdict
from ml.decision.restoring import Read
from orchestration.services import Services
from orchestration.system import running_system
from trading.errors import InvalidValue

EXIT_CODES = {
    Verdict.IDENTICAL: 0,
    Verdict.INPUT_DIFFERS: 3,
    Verdict.DECISION_DIFFERS: 4,
    Verdict.NOT_REPLAYABLE: 5,
}
MAX_CACHED = 20_000  # contents of a few kilobytes each, which decisions of the same time share
SHOWN = 20


class CachedContents:
    """Recorded contents that were read lately: decisions one candle apart have all but a few in common."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: dict[str, bytes] = {}

    def __call__(self, digests: Collection[str]) -> Mapping[str, bytes]:
        if len(self._known) > MAX_CACHED:
            self._known.clear()
        if missing := set(digests) - self._known.keys():
            self._known.update(self._read(missing))
        return {each: self._known[each] for each in digests if each in self._known}


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What became of each decision, and how long all of them took."""

    replays: list[Replay]
    seconds: float
    counts: Counter[Verdict] = field(default_factory=Counter)

    @property
    def worst(self) -> Verdict:
        return max(
            (each.verdict for each in self.replays), key=list(Verdict).index, default=Verdict.IDENTICAL
        )

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.worst]

    @property
    def per_second(self) -> float:
        return len(self.replays) / self.seconds

    def facts(self) -> dict[str, Any]:
        return {
            "verdict": self.worst,
            "decisions": len(self.replays),
            "counts": {verdict: self.counts[verdict] for verdict in Verdict},
            "seconds": round(self.seconds, 3),
            "decisions_per_second": round(self.per_second, 1),
            "replays": [each.facts() for each in self.replays],
        }


def replay_decisions(decision_id: str, since: datetime | None) -> ReplayReport:
    """Replay the decision, or every decision of the account since a time. NotStored for an unknown id.

    InvalidValue for both or neither of the two, and for a time since which nothing was decided.
    """
    if bool(decision_id) == (since is not None):
        raise InvalidValue("name one decision, or give --since a UTC day: marketloom replay 1f0c2ab7")
    with running_system():
        services = Services.current()
        ids = [decision_id] if since is None else _ids_since(services, since)
        return replay_all(replayer(services), (services.journal.decision(each) for each in ids))


def replayer(services: Services) -> Replayer:
    """Build the replayer over the stores and settings of this process."""
    return Replayer(
        services.market_reader,
        services.policies,
        services.rules,
        CachedContents(services.journal.inputs),
        weights=services.weights_at,
    )


def replay_all(replayer: Replayer, receipts: Iterator[Mapping[str, Any]]) -> ReplayReport:
    begin = perf_counter()
    replays = [replayer.replay(each) for each in receipts]
    return ReplayReport(replays, perf_counter() - begin, Counter(each.verdict for each in replays))


def _ids_since(services: Services, since: datetime) -> list[str]:
    name = services.account.name
    if ids := services.journal.decisions_since(name, since):
        return ids
    raise InvalidValue(f"account {name} has decided nothing since {since:%Y-%m-%d %H:%M} UTC")


def show(report: ReplayReport, out: Console) -> None:
    """Print what is not identical, then the counts; of one decision its verdict alone."""
    unlike = [each for each in report.replays if each.verdict is not Verdict.IDENTICAL]
    for each in unlike[:SHOWN] if len(report.replays) > 1 else report.replays:
        out.print(str(each), soft_wrap=True, markup=False, highlight=False)
    if len(unlike) > SHOWN:
        out.print(f"... and {len(unlike) - SHOWN} more: --json lists all")
    if len(report.replays) > 1:
        counts = ", ".join(f"{report.counts[verdict]} {verdict}" for verdict in Verdict)
        out.print(f"{len(report.replays)} decisions, {report.per_second:.0f} per second: {counts}")
