"""The manifest of a policy bundle: where its weights come from, and the digests that prove it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any

from trading.errors import InvalidBundle
from trading.market import Pair, Timeframe

EXCLUDED_FROM_ID = (
    "policy_id",
    "frames_per_second",
)  # the same training gives the same id on a faster machine


@dataclass(frozen=True, slots=True)
class Manifest:
    """`policy_id` is the digest of everything else, the weights' digest included, except the measured speed.

    `recipe` is the digest of what was chosen (not of the data): folds of one recipe can be judged together.
    """

    policy_id: str
    pair: str
    timeframe: str
    dataset: str
    feature_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    hidden_sizes: tuple[int, ...]
    config: Mapping[str, Any]
    costs: Mapping[str, float]
    training_start: datetime  # open time of the first training row
    training_end: datetime  # close time of the last one
    training_rows: int
    dropped_rows: int  # in the window, but with an unknown feature
    embargo_candles: int
    test_month: date
    seed: int
    frames: int
    frames_per_second: float
    reward_curve: tuple[float, ...]  # mean log growth per candle of each rollout
    versions: Mapping[str, str]
    inputs_hash: str  # of the training rows, exactly as the training saw them
    recipe: str
    files: Mapping[str, str]  # name -> SHA-256
    masked_share: float = (
        0.0  # of the window's rows, in or around an unrepaired feed gap; not written where it is 0
    )

    def as_json(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        plain: dict[str, Any] = json.loads(canonical_json(self._content()))
        return plain

    def _content(self) -> dict[str, Any]:
        """Return what is written: a policy without a gap is the same as before gaps were known."""
        return {name: value for name, value in asdict(self).items() if name != "masked_share" or value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Manifest":
        """Read plain JSON values. InvalidBundle when a field is missing, unknown or unreadable, or the id is wrong."""
        known = {field.name for field in fields(cls)}
        if difference := known ^ {*values, "masked_share"}:
            raise InvalidBundle(f"manifest: missing or unknown fields {', '.join(sorted(difference))}")
        try:
            manifest = cls(**{**values, **_parse_fields(values)})
        except (TypeError, ValueError) as error:
            raise InvalidBundle(f"manifest: {error}") from None
        if manifest.policy_id != manifest.identity():
            raise InvalidBundle(
                f"manifest was changed: its content is {manifest.identity()}, it says {manifest.policy_id}"
            )
        return manifest

    def identity(self) -> str:
        """Compute what `policy_id` must be."""
        content = {name: value for name, value in self._content().items() if name not in EXCLUDED_FROM_ID}
        return sha256_hex(canonical_json(content))[:16]


def _parse_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    Pair.parse(values["pair"])
    Timeframe(values["timeframe"])
    lists = ("feature_names", "mean", "std", "hidden_sizes", "reward_curve")
    times = ("training_start", "training_end")
    return {
        **{name: tuple(values[name]) for name in lists},
        **{name: datetime.fromisoformat(values[name]) for name in times},
        "test_month": date.fromisoformat(values["test_month"]),
    }


def canonical_json(values: Mapping[str, Any]) -> bytes:
    """Encode the values as canonical JSON: sorted keys, no spaces, NaN refused, times in ISO format."""
    return json.dumps(
        values, sort_keys=True, separators=(",", ":"), allow_nan=False, default=lambda time: time.isoformat()
    ).encode()


def sha256_hex(content: bytes) -> str:
    """Compute the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
