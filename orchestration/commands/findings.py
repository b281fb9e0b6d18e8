"""What a check found: fine, worth a note, or broken; one line each, with what to do."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

from trading.errors import MarketloomError


class Health(StrEnum):
    OK = "ok"
    NOTE = "note"  # works without it
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    health: Health
    detail: str  # what was found, and what to do unless it is ok

    @property
    def blocks(self) -> bool:
        return self.health is Health.BROKEN

    def as_json(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}


def finding(what: str, look: Callable[[], "Finding | str"]) -> Finding:
    """Return what was found; a text is fine, an error on purpose is broken."""
    try:
        found = look()
    except MarketloomError as error:
        return Finding(what, Health.BROKEN, str(error))
    return found if isinstance(found, Finding) else Finding(what, Health.OK, found)
