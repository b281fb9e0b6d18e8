"""A trained policy, its verified bundle, and how it acts. NumPy only: acting needs no torch."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.learning.manifest import Manifest, sha256_hex
from ml.learning.observation import Normaliser, Observations, observe
from trading.errors import InvalidBundle, NotStored
from trading.market import Pair, Timeframe

WEIGHTS = "weights.npz"
MANIFEST = "manifest.json"
Layers = Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class PolicyAction:
    """Target exposure, 0 or 1, and the probability that the policy gives to it (0.5 .. 1)."""

    exposure: float
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """Tanh network from observation to one logit per target exposure; `act` is deterministic."""

    manifest: Manifest
    normaliser: Normaliser
    layers: Layers  # (weight (inputs, outputs), bias (outputs,)) from the observation to the logits

    @property
    def policy_id(self) -> str:
        return self.manifest.policy_id

    @property
    def pair(self) -> Pair:
        return Pair.parse(self.manifest.pair)

    @property
    def timeframe(self) -> Timeframe:
        return Timeframe(self.manifest.timeframe)

    @property
    def test_month(self) -> date:
        return self.manifest.test_month

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.manifest.feature_names

    def act(self, features: Mapping[str, float] | npt.NDArray[np.float64], exposure: float) -> PolicyAction:
        """Choose the target exposure after a closed candle with these features; `exposure` (0..1) is the current one.

        An array must be in the order of `feature_names`. Raises InvalidBundle when the policy was made for
        other features, InvalidValue when one of its features is not a finite number.
        """
        long, probability = self.choices(self._row(features), exposure)
        return PolicyAction(float(long[0]), float(probability[0]))

    def choices(
        self, features: npt.NDArray[np.float64], exposure: float
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
        """Return for each row of features (n, f) what `act` chooses: whether long, and its probability."""
        flat, long = self._logits(observe(features, exposure, self.normaliser)).astype(np.float64).T
        return long > flat, 1.0 / (1.0 + np.exp(-np.abs(long - flat)))

    def long_probabilities(
        self, features: npt.NDArray[np.float64], exposure: npt.NDArray[np.float64] | float
    ) -> npt.NDArray[np.float64]:
        """Compute the probability (n,) of long after each row of features (n, f); `act` is long above one half."""
        logits = self._logits(observe(features, exposure, self.normaliser)).astype(np.float64)
        return np.asarray(1.0 / (1.0 + np.exp(logits[:, 0] - logits[:, 1])))

    def check_features(self, known: Collection[str]) -> None:
        """Raise InvalidBundle unless every feature that the policy reads is known."""
        if missing := [name for name in self.manifest.feature_names if name not in known]:
            raise InvalidBundle(
                f"policy {self.policy_id} was trained on features that are not there: {', '.join(missing)}; "
                "train and promote a policy on the current features"
            )

    def _logits(self, observations: Observations) -> npt.NDArray[np.float32]:
        activations = observations  # `dot` and not `@`, which takes twice as long on one row
        for weight, bias in self.layers[:-1]:
            activations = np.tanh(activations.dot(weight) + bias)
        weight, bias = self.layers[-1]
        logits: npt.NDArray[np.float32] = activations.dot(weight) + bias
        return logits

    def _row(self, features: Mapping[str, float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        names = self.manifest.feature_names
        if isinstance(features, np.ndarray):
            if features.shape != (len(names),):
                raise InvalidBundle(
                    f"policy {self.policy_id} reads {len(names)} features, got shape {features.shape}"
                )
            return features[np.newaxis]
        self.check_features(features)
        # An unknown (None) becomes NaN, which `observe` refuses by name.
        return np.array([[features[name] for name in names]], dtype=np.float64)


def load_bundle(folder: Path) -> Policy:
    """Load the policy in `folder` after checking digests and shapes.

    Raises NotStored when there is no bundle, InvalidBundle saying what differs.
    """
    manifest = _read_manifest(folder)
    try:
        return _build_policy(manifest, _read_weights(folder, manifest))
    except InvalidBundle as error:
        raise InvalidBundle(f"{folder}: {error}; train this fold again") from None


def policy_from_bytes(manifest: bytes, weights: bytes) -> Policy:
    """Load a policy from the contents of its two files. InvalidBundle says what differs."""
    try:
        read = Manifest.from_json(json.loads(manifest))
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise InvalidBundle(f"{MANIFEST}: {error}") from None
    _check_weights(read, weights)
    return _build_policy(read, weights)


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest.from_json(json.loads((folder / MANIFEST).read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        raise NotStored(f"no policy bundle in {folder}: materialise ppo_policy first") from None
    except (json.JSONDecodeError, UnicodeDecodeError, InvalidBundle, AttributeError, TypeError) as error:
        raise InvalidBundle(f"{folder / MANIFEST}: {error}; train this fold again") from None


def _read_weights(folder: Path, manifest: Manifest) -> bytes:
    try:
        content = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError:
        raise InvalidBundle(f"{WEIGHTS} is missing") from None
    _check_weights(manifest, content)
    return content


def _check_weights(manifest: Manifest, content: bytes) -> None:
    if set(manifest.files) != {WEIGHTS}:
        raise InvalidBundle(f"the manifest lists {sorted(manifest.files)}, a policy has {WEIGHTS} alone")
    if (found := sha256_hex(content)) != manifest.files[WEIGHTS]:
        raise InvalidBundle(f"{WEIGHTS} has SHA-256 {found}, the manifest says {manifest.files[WEIGHTS]}")


def _build_policy(manifest: Manifest, content: bytes) -> Policy:
    names = manifest.feature_names
    normaliser = Normaliser(names, np.array(manifest.mean), np.array(manifest.std))
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        layers = [(arrays[f"weight_{i}"], arrays[f"bias_{i}"]) for i in range(len(arrays.files) // 2)]
    sizes = (len(names) + 1, *manifest.hidden_sizes, 2)
    expected = [((inputs, outputs), (outputs,)) for inputs, outputs in pairwise(sizes)]
    if (shapes := [(weight.shape, bias.shape) for weight, bias in layers]) != expected:
        raise InvalidBundle(f"{WEIGHTS} has layers {shapes}, the manifest describes {expected}")
    return Policy(manifest, normaliser, layers)
