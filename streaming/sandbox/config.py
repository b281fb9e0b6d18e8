"""The settings of the sandbox exchange."""

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from trading.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """Where it listens, which market it shows, and how it treats orders. Faults are tables, see docs/sandbox.md."""

    host: str
    port: int
    candles: str  # file or folder to replay; with `trades` empty too, the market is simulated
    trades: str  # file, or folder of files, of single trades to replay
    start: str  # UTC time at which the market begins; empty: a replay once it has `history_days`, a simulation now
    speed: float  # market seconds per second; 0: time stands still until the admin endpoint moves it
    seed: int  # of the simulated market and of the market maker's quantities
    history_days: int  # of candles before the start that the exchange remembers
    latency_ms: float  # between an order's arrival and the matching engine ...
    latency_jitter_ms: float  # ... and up to this much more
    level_value: (
        Decimal  # quote currency that the market maker offers at each level, counted in [market] quote
    )
    levels: int  # of the market maker, per side
    leverage: int  # at most; 1: nothing is lent
    tier: Literal["starter", "intermediate", "pro"]
    faults: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InvalidValue(f"port is {self.port}: allowed is 1 to 65535, or 0 for any free one")
        if self.candles and self.trades:
            raise InvalidValue("candles and trades are both given: a replay has one of them")
        if not (math.isfinite(self.speed) and 0 <= self.speed <= 100_000):
            raise InvalidValue(f"speed is {self.speed}: allowed is 0 to 100000 market seconds per second")
        if self.seed < 0:
            raise InvalidValue(f"seed is {self.seed}: allowed are whole numbers from 0")
        if not 1 <= self.history_days <= 366:
            raise InvalidValue(f"history_days is {self.history_days}: allowed is 1 to 366")
        for name in ("latency_ms", "latency_jitter_ms"):
            if not 0 <= getattr(self, name) <= 10_000:
                raise InvalidValue(f"{name} is {getattr(self, name)}: allowed is 0 to 10000 milliseconds")
        if not self.level_value > 0:
            raise InvalidValue(f"level_value is {self.level_value}: it must be above zero")
        if not 10 <= self.levels <= 1000:
            raise InvalidValue(f"levels is {self.levels}: allowed is 10 to 1000")
        if not 1 <= self.leverage <= 3:
            raise InvalidValue(f"leverage is {self.leverage}: allowed is 1 to 3")
        self.started_at  # noqa: B018 an unreadable time is said now, not when the market starts

    @property
    def started_at(self) -> dt.datetime | None:
        if not self.start:
            return None
        try:
            time = dt.datetime.fromisoformat(self.start)
        except ValueError:
            raise InvalidValue(
                f"start is {self.start!r}: write a UTC time such as 2023-11-18T00:00:00"
            ) from None
        return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)

    @property
    def is_replay(self) -> bool:
        return bool(self.candles or self.trades)

    @property
    def goes_on_alone(self) -> bool:
        """Return whether the market goes on while no sandbox runs: a simulated one that began at no chosen time."""
        return not (self.is_replay or self.start)

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "") else self.host
        return f"http://{host}:{self.port}"
