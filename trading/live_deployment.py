"""What a person confirms before real money is traded, and what has changed since: docs/decisions/0035."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from trading.risk import loosened

MAX_SHOWN = 60  # characters of a value


@dataclass(frozen=True, slots=True)
class Deployment:
    """One program with its settings on one account. Two with the same values are the same deployment."""

    account: str  # the venue and the key
    code: str  # digest of the whole source text
    settings: Mapping[str, str]  # what must not change at all, by `section.key`
    pairs: tuple[str, ...]  # more of them are a change, fewer are none
    limits: Mapping[str, float]  # looser ones are a change, stricter ones are none


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A person has typed that this deployment may trade real money."""

    deployment: Deployment
    by: str
    at: datetime  # by the database's clock


@dataclass(frozen=True, slots=True)
class AccountCheck:
    """What `doctor --live` found last that blocks, and how long ago by the database's clock."""

    problems: tuple[str, ...]
    age_seconds: float


def changes(confirmed: Deployment, running: Deployment) -> list[str]:
    """Say what of the running deployment nobody has confirmed; empty where it may trade as it is."""
    return [*_changes(confirmed, running)]


def _changes(confirmed: Deployment, running: Deployment) -> Iterator[str]:
    if confirmed.account != running.account:
        yield f"account {confirmed.account} -> {running.account}"
    if confirmed.code != running.code:
        yield f"the code {confirmed.code} -> {running.code}"
    for name in sorted(confirmed.settings.keys() | running.settings.keys()):
        before, now = (each.settings.get(name, "not set") for each in (confirmed, running))
        if before != now:
            yield f"{name} {before[:MAX_SHOWN]} -> {now[:MAX_SHOWN]}"
    if added := sorted({*running.pairs} - {*confirmed.pairs}):
        yield f"traded too: {', '.join(added)}"
    for name, (old, new) in loosened(confirmed.limits, running.limits).items():
        yield f"risk.{name} {'not set' if old is None else f'{old:g}'} -> {new:g}"
