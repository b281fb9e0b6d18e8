"""MiniLM's encoder without padding: texts of all lengths lie one behind the other.

Devlin et al. 2018, "BERT", as sentence-transformers/all-MiniLM-L6-v2 has it. Only attention looks beyond a token: it
takes the texts of one length at a time and needs no mask. All else takes every token of a batch at once.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from ml.news.embeddings import Vectors

_BATCH = 1024  # tokens: their states stay in the processor's cache
_WIDTH, _HEADS, _LAYERS, _EPSILON = 384, 12, 6, 1e-12  # as in the model's config.json


class _Run(NamedTuple):
    """The rows of a batch's tokens that belong to texts of one length."""

    rows: slice
    length: int


class MiniLMEncoder:
    """Weights and states have `dtype`; they are converted once."""

    def __init__(self, weights: Path, dtype: torch.dtype) -> None:
        self._tensors = {name: tensor.to(dtype) for name, tensor in load_file(weights).items()}
        for layer in range(_LAYERS):
            self._join_attention(f"encoder.layer.{layer}.attention.self")

    def pooled(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """Compute (texts, 384) float32, the mean over the tokens of each text; a text is its tokens, 1 to 512."""
        vectors = np.empty((len(texts), _WIDTH), np.float32)
        with torch.inference_mode():
            for batch in _batches(texts):
                vectors[batch] = self._pool([texts[index] for index in batch]).numpy()
        return vectors

    def _pool(self, texts: Sequence[Sequence[int]]) -> Tensor:
        runs = list(_runs(texts))
        states = self._embeddings(torch.tensor([token for text in texts for token in text]), runs)
        for layer in range(_LAYERS):
            part = f"encoder.layer.{layer}"
            mixed = self._attend(self._linear(states, f"{part}.attention.self"), runs)
            attended = self._linear(mixed, f"{part}.attention.output.dense")
            states = self._normalise(states + attended, f"{part}.attention.output")
            inner = functional.gelu(self._linear(states, f"{part}.intermediate.dense"))
            states = self._normalise(states + self._linear(inner, f"{part}.output.dense"), f"{part}.output")
        return torch.cat(
            [states[rows].view(-1, length, _WIDTH).mean(1, dtype=torch.float32) for rows, length in runs]
        )

    def _embeddings(self, tokens: Tensor, runs: Sequence[_Run]) -> Tensor:
        places = torch.cat([torch.arange(rows.stop - rows.start) % length for rows, length in runs])
        states = self._tensors["embeddings.word_embeddings.weight"][tokens]
        states = states + self._tensors["embeddings.position_embeddings.weight"][places]
        return self._normalise(
            states + self._tensors["embeddings.token_type_embeddings.weight"][0], "embeddings"
        )

    @staticmethod
    def _attend(joined: Tensor, runs: Sequence[_Run]) -> Tensor:
        """Mix the tokens of each text; `joined` is (tokens, 3 * 384), query, key and value."""
        mixed = joined.new_empty(len(joined), _WIDTH)
        for rows, length in runs:
            heads = joined[rows].view(-1, length, 3, _HEADS, _WIDTH // _HEADS)
            query, key, value = heads.permute(2, 0, 3, 1, 4)
            texts = functional.scaled_dot_product_attention(query, key, value)
            mixed[rows] = texts.transpose(1, 2).reshape(-1, _WIDTH)
        return mixed

    def _linear(self, states: Tensor, part: str) -> Tensor:
        return functional.linear(states, *self._weights(part))

    def _normalise(self, states: Tensor, part: str) -> Tensor:
        return functional.layer_norm(states, (_WIDTH,), *self._weights(f"{part}.LayerNorm"), _EPSILON)

    def _weights(self, part: str) -> tuple[Tensor, Tensor]:
        return self._tensors[f"{part}.weight"], self._tensors[f"{part}.bias"]

    def _join_attention(self, part: str) -> None:
        """Make one matrix of three: fewer, larger products."""
        for kind in ("weight", "bias"):
            self._tensors[f"{part}.{kind}"] = torch.cat(
                [self._tensors.pop(f"{part}.{name}.{kind}") for name in ("query", "key", "value")]
            )


def _batches(texts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Give the numbers of all texts, shortest first, by as many as have `_BATCH` tokens together."""
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(texts)), key=lambda index: len(texts[index])):
        if batch and tokens + len(texts[index]) > _BATCH:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += len(texts[index])
    if batch:
        yield batch


def _runs(texts: Sequence[Sequence[int]]) -> Iterator[_Run]:
    start = 0
    for length, same in groupby(map(len, texts)):
        stop = start + sum(same)
        yield _Run(slice(start, stop), length)
        start = stop
