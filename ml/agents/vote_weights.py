"""What the past votes of each agent make of the weight of its next one, in versions known before they count."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.agents.panel import QUANT
from trading.ports import WeightLog

EVERY_REGIME = ""
ANY_MODEL = ""  # of an agent whose models one recipe makes: its record is that of all of them
_POOLED = frozenset({QUANT})  # each month trains another policy
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class VoteWeight:
    """An agent's record in one regime, and what it makes of a vote. Shares are 0 .. 1."""

    agent: str
    model: str  # as its opinions name it, or ANY_MODEL
    regime: str  # EVERY_REGIME: all of them
    weight: float  # the confidence of an entry's vote is multiplied by it; 0: no vote
    windows: int  # spans of `horizon` candles with a vote: what overlaps counts once
    votes: int
    hit_rate: float
    brier: float  # of its confidences, each worth what its earlier votes had shown them to be worth
    base_brier: float  # what the base rate gets on the same votes
    skill: float  # 1 - brier / base_brier

    def __str__(self) -> str:
        where = f" while {self.regime}" if self.regime else ""
        words = f"Brier {self.brier:.3f} on {self.votes} votes{where}, base rate {self.base_brier:.3f}"
        return f"{words}, {self.hit_rate:.0%} right"


@dataclass(frozen=True, slots=True)
class VoteWeights:
    """One version. A record of fewer than `minimum_windows` says nothing, but that a vote that was lost stays lost."""

    known_at: datetime  # nothing that was known later is in it, and only later decisions read it
    horizon: int  # candles over which votes were scored
    minimum_windows: int
    weights: tuple[VoteWeight, ...]
    version: str = ""  # SHA-256 of the whole version, also where `weights` has only a part of it

    def of(self, agent: str, model: str, regime: str | None) -> VoteWeight | None:
        """Return the record that counts: in the regime where it is long enough, else in all; None without one."""
        judge = agent, ANY_MODEL if agent in _POOLED else model
        for wanted in (regime, EVERY_REGIME):
            for each in self.weights:
                if (each.agent, each.model) == judge and each.regime == wanted and self.counts(each):
                    return each
        return None

    def counts(self, record: VoteWeight) -> bool:
        """Return whether the record says something: it is long enough, or has cost the agent its vote."""
        return record.windows >= self.minimum_windows or record.weight == 0

    def while_in(self, regime: str | None) -> "VoteWeights":
        """Return the part of it that a decision in this regime may read."""
        wanted = {regime, EVERY_REGIME}
        return replace(self, weights=tuple(each for each in self.weights if each.regime in wanted))

    def content(self) -> str:
        """Return it as JSON, without `version`."""
        values = asdict(self) | {"known_at": self.known_at.isoformat()}
        del values["version"]
        return json.dumps(values, sort_keys=True, allow_nan=False)

    @classmethod
    def parse(cls, content: str) -> "VoteWeights":
        """Read what `content` wrote; its version is the digest of the text."""
        values: dict[str, Any] = json.loads(content)
        return cls(
            known_at=datetime.fromisoformat(values["known_at"]),
            horizon=values["horizon"],
            minimum_windows=values["minimum_windows"],
            weights=tuple(VoteWeight(**each) for each in values["weights"]),
            version=hashlib.sha256(content.encode()).hexdigest(),
        )


Run = tuple[slice, VoteWeights | None]  # rows of a table, and the version that was known then


@dataclass(frozen=True, slots=True)
class WeightVersions:
    """The versions of one dataset, as they were recorded."""

    log: WeightLog

    def at(self, time: datetime) -> VoteWeights | None:
        """Return the newest version known before `time`; None without one.

        One that became known at the very time is for later decisions: on history, time stands still while it is made.
        """
        content = self.log.newest(time)
        return None if content is None else VoteWeights.parse(content)

    def runs(self, times: pl.Series) -> list[Run]:
        """Return what `at` says at each of `times` (ascending), as runs of rows with the same answer."""
        versions = [VoteWeights.parse(each) for each in self.log.history()]
        starts = pl.Series([each.known_at for each in versions], dtype=times.dtype)
        bounds = (
            [0, *times.search_sorted(starts, side="right").to_list(), len(times)]
            if versions
            else [0, len(times)]
        )
        found = zip(pairwise(bounds), [None, *versions], strict=True)
        return [(slice(begin, end), version) for (begin, end), version in found if begin < end]

    def record(self, weights: VoteWeights) -> VoteWeights:
        """Commit a version, which decisions after its `known_at` read; returns it with its digest."""
        content = weights.content()
        parsed = VoteWeights.parse(content)
        self.log.record(parsed.version, content, weights.known_at)
        return parsed


def weights_of_rows(runs: Iterable[Run], agent: str, models: pl.Series, regimes: pl.Series) -> Array:
    """Return (n,) the weight of the agent's vote after each candle: 1 where no record counts.

    `models` (n,) judged there, null where nobody did; `regimes` (n,) null where unknown.
    """
    found = np.ones(len(models))
    for rows, version in runs:
        if version is None:
            continue
        seen = pl.DataFrame({"model": models[rows], "regime": regimes[rows]}).with_row_index("row")
        for (model, regime), group in seen.group_by("model", "regime"):
            if record := version.of(agent, str(model), None if regime is None else str(regime)):
                found[rows][group["row"].to_numpy()] = record.weight
    return found
