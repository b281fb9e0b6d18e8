"""What the layers of the packaged MiniLM make of a text: it keeps the tone that the finished vector drops.

The finished vector is trained to say what a text is about. Half-way up, good and bad news of one subject still lie
apart. Written in NumPy (Devlin et al. 2018, "BERT", as sentence-transformers/all-MiniLM-L6-v2 has it): torch would take
longer to import than this takes to judge a day's news.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ml.news.embeddings import Vectors
from ml.news.minilm import load_tokenizer, packaged_model_folder, verify_weights

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BATCH = 32
_MAX_TOKENS = 128  # a title and the opening of a text
_HEADS = 12
_EPSILON = 1e-12  # of the normalisation, as in the model's config.json
_MASKED = np.float32(-1e9)


class MiniLMLayers:
    """Mean and maximum over the tokens of a layer (1 .. 6); the layers above it are not computed."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def pooled(self, texts: Sequence[str], layer: int) -> Vectors:
        """Compute (n, 768) float32: the mean over the tokens, then the maximum. InvalidModel as in `PackagedMiniLM`."""
        tokens = [each.ids for each in self._tokenizer.encode_batch(list(texts))]
        by_length = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
        rows = np.empty((len(texts), 768), np.float32)
        for start in range(0, len(texts), _BATCH):
            batch = by_length[start : start + _BATCH]
            rows[batch] = self._pool([tokens[index] for index in batch], layer)
        return rows

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Return the words and pieces (`##...`) that the model reads as one token, in lower case."""
        return frozenset(self._tokenizer.get_vocab())

    def _pool(self, tokens: list[list[int]], layer: int) -> Vectors:
        longest = max(map(len, tokens))
        ids = np.array([each + [0] * (longest - len(each)) for each in tokens])
        real = np.array([[True] * len(each) + [False] * (longest - len(each)) for each in tokens])
        states = self._states(ids, real, layer)
        mean = (states * real[:, :, None]).sum(1) / real.sum(1, keepdims=True)
        largest = np.where(real[:, :, None], states, -np.inf).max(1)
        return np.asarray(np.hstack([mean, largest]), np.float32)

    def _states(self, ids: npt.NDArray[np.int64], real: npt.NDArray[np.bool_], layer: int) -> Vectors:
        """Compute (texts, tokens, 384) after the layer."""
        part = "embeddings"
        states = self._tensors[f"{part}.word_embeddings.weight"][ids]
        states = states + self._tensors[f"{part}.position_embeddings.weight"][: ids.shape[1]]
        states = self._normalise(states + self._tensors[f"{part}.token_type_embeddings.weight"][0], part)
        mask = np.where(real, np.float32(0), _MASKED)[:, None, None, :]
        for number in range(layer):
            part = f"encoder.layer.{number}"
            attended = self._linear(self._attend(states, mask, part), f"{part}.attention.output.dense")
            states = self._normalise(states + attended, f"{part}.attention.output")
            inner = _gelu(self._linear(states, f"{part}.intermediate.dense"))
            states = self._normalise(states + self._linear(inner, f"{part}.output.dense"), f"{part}.output")
        return states

    def _attend(self, states: Vectors, mask: Vectors, part: str) -> Vectors:
        texts, length, width = states.shape
        query, key, value = (
            self._linear(states, f"{part}.attention.self.{name}")
            .reshape(texts, length, _HEADS, width // _HEADS)
            .transpose(0, 2, 1, 3)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width // _HEADS)) + mask
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (powers / powers.sum(-1, keepdims=True)) @ value
        return np.asarray(mixed.transpose(0, 2, 1, 3).reshape(texts, length, width))

    def _linear(self, states: Vectors, part: str) -> Vectors:
        weights = self._tensors[f"{part}.weight"]
        flat = states.reshape(-1, states.shape[-1]) @ weights.T + self._tensors[f"{part}.bias"]
        return np.asarray(flat.reshape(*states.shape[:-1], len(weights)))

    def _normalise(self, states: Vectors, part: str) -> Vectors:
        centred = states - states.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(_EPSILON))
        gain, offset = (self._tensors[f"{part}.LayerNorm.{name}"] for name in ("weight", "bias"))
        return np.asarray(scaled * gain + offset)

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        return load_tokenizer(self._folder or packaged_model_folder(), _MAX_TOKENS)

    @cached_property
    def _tensors(self) -> dict[str, Vectors]:
        from safetensors.numpy import load_file

        weights = (self._folder or packaged_model_folder()) / "model.safetensors"
        verify_weights(weights)
        return load_file(weights)


def _gelu(values: Vectors) -> Vectors:
    """Hendrycks & Gimpel 2016, with the error function."""
    from scipy.special import erf

    return np.asarray(values * np.float32(0.5) * (1 + erf(values * np.float32(np.sqrt(0.5)))), np.float32)
