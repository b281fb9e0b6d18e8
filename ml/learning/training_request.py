"""The request to the training process, a JSON file between two processes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ml.learning.folds import Fold
from ml.learning.masking import Interval
from ml.learning.training import TrainingConfig
from trading.errors import InvalidValue, UnreadableFile
from trading.fills import Costs
from trading.market import Pair, Timeframe


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """`tables` are Parquet files in order of time: open_time, close_time, open, close and the features."""

    tables: tuple[Path, ...]
    feature_names: tuple[str, ...]
    pair: Pair
    timeframe: Timeframe
    dataset: str
    fold: Fold
    costs: Costs
    config: TrainingConfig
    output: Path  # the fold's folder, see ml.learning.bundle
    unrepaired: tuple[Interval, ...] = ()  # stretches of the pair's feed in which trades may be missing

    def as_json(self) -> dict[str, Any]:
        return {
            "tables": [str(path) for path in self.tables],
            "feature_names": list(self.feature_names),
            "pair": str(self.pair),
            "timeframe": self.timeframe.value,
            "dataset": self.dataset,
            "fold": self.fold.as_json(),
            "costs": asdict(self.costs),
            "config": asdict(self.config),
            "output": str(self.output),
            "unrepaired": [[since.isoformat(), until.isoformat()] for since, until in self.unrepaired],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TrainingRequest":
        """Read plain JSON values. Raises InvalidValue naming the missing or impossible part."""
        try:
            config = {**values["config"], "hidden_sizes": tuple(values["config"]["hidden_sizes"])}
            return cls(
                tables=tuple(Path(path) for path in values["tables"]),
                feature_names=tuple(values["feature_names"]),
                pair=Pair.parse(values["pair"]),
                timeframe=Timeframe(values["timeframe"]),
                dataset=values["dataset"],
                fold=Fold.from_json(values["fold"]),
                costs=Costs(**values["costs"]),
                config=TrainingConfig(**config),
                output=Path(values["output"]),
                unrepaired=tuple(
                    (datetime.fromisoformat(since), datetime.fromisoformat(until))
                    for since, until in values["unrepaired"]
                ),
            )
        except KeyError as error:
            raise InvalidValue(f"training request: {error.args[0]} is missing") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidValue(f"training request: {error}") from None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.as_json(), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "TrainingRequest":
        """Read a request file. Raises UnreadableFile when it is not JSON."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UnreadableFile(f"{path}: {error}; write it with TrainingRequest.write") from None
        return cls.from_json(values)
