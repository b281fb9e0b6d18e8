"""A linear classifier of three labels in a plain file: quantised weights, what they were trained on, and a hash.

The file is JSON: a few kilobytes, nothing in it is executed, and a changed byte is noticed.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from trading.errors import InvalidModel

LABELS = ("negative", "neutral", "positive")
FORMAT = "marketloom-sentiment-head/2"
PACKAGED = Path(__file__).with_name("weights") / "news-2.json"

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinearHead:
    """`weights` (features, 3) act on features (n, features) directly; `bias` (3,). Columns in the order of LABELS.

    `layer` of MiniLM is what the features are made of.
    """

    weights: Array
    bias: Array
    layer: int

    def probabilities(self, features: Array) -> Array:
        """Compute (n, 3) softmax probabilities; raise InvalidModel for another number of features."""
        if features.shape[1] != len(self.weights):
            raise InvalidModel(f"the weights are for {len(self.weights)} features, not {features.shape[1]}")
        logits = features @ self.weights + self.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Weights:
    """The heads by subject (`crypto`, `company`), and the version that every judgement names."""

    version: str
    heads: dict[str, LinearHead]
    trained_on: dict[str, Any]


def write_weights(path: Path, weights: Weights) -> str:
    """Write the file and return its hash; the same weights give the same bytes."""
    body = {
        "format": FORMAT,
        "version": weights.version,
        "labels": LABELS,
        "trained_on": weights.trained_on,
        "heads": {name: _encode(head) for name, head in weights.heads.items()},
    }
    digest = _digest(body)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps(body | {"sha256": digest}, option=options))
    return digest


def read_weights(path: Path) -> Weights:
    """Read and verify a file; raise InvalidModel when it is missing, changed, or of another format."""
    try:
        body = orjson.loads(path.read_bytes())
        digest = body.pop("sha256")
        if body["format"] != FORMAT or tuple(body["labels"]) != LABELS:
            raise InvalidModel(f"{path} is not of the format {FORMAT}: train it again")
        if _digest(body) != digest:
            raise InvalidModel(f"{path} was changed: its content has not the SHA-256 {digest} that it names")
        heads = {name: _decode(head) for name, head in body["heads"].items()}
        return Weights(body["version"], heads, body["trained_on"])
    except OSError as error:
        raise InvalidModel(f"{path} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidModel(f"{path} is no file of sentiment weights: {error!r}") from error


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _encode(head: LinearHead) -> dict[str, Any]:
    """Store float16: far finer than what the labels say, a quarter of the bytes."""
    return {
        "features": len(head.weights),
        "layer": head.layer,
        "weights": base64.b64encode(head.weights.astype("<f2").tobytes()).decode(),
        "bias": base64.b64encode(head.bias.astype("<f2").tobytes()).decode(),
    }


def _decode(stored: dict[str, Any]) -> LinearHead:
    weights, bias = (
        np.frombuffer(base64.b64decode(stored[name]), "<f2").astype(np.float64)
        for name in ("weights", "bias")
    )
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ValueError("a weight is not finite")
    shape = (stored["features"], len(LABELS))
    return LinearHead(weights.reshape(shape), bias.reshape(len(LABELS)), int(stored["layer"]))
