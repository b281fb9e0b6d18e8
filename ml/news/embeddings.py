"""Texts as vectors of unit length: what an embedder is, and one for any LangChain model."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ml.models.errors import translate_client_errors
from trading.errors import ModelUnreachable

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings  # half a second for everybody who only reads vectors

Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """`embed` gives one float32 row of `dimensions` per text, of length 1, in the order of the texts."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...


class OllamaEmbedder:
    """Any LangChain embeddings behind the Embedder seam; `name` is written beside every vector."""

    def __init__(self, embeddings: "Embeddings", name: str) -> None:
        self._embeddings = embeddings
        self.name = name

    @cached_property
    def dimensions(self) -> int:
        """Ask the model once: only it knows."""
        return int(self.embed(["dimensions"]).shape[1])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Raise ModelUnreachable when the model does not answer, or not with one vector per text."""
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        with translate_client_errors(self.name):
            vectors = np.asarray(self._embeddings.embed_documents(list(texts)), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ModelUnreachable(f"{self.name} gave {len(vectors)} vectors for {len(texts)} texts")
        return unit_length(vectors)


def unit_length(vectors: Vectors) -> Vectors:
    """Scale every row to length 1; raise ModelUnreachable for one that is zero or not finite."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ModelUnreachable("the embedding model gave a vector without a direction (zero or not finite)")
    return np.asarray(vectors / lengths, np.float32)
