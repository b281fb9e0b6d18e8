import logging
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from ml.news.embeddings import OllamaEmbedder
from ml.news.minilm import MINILM_SHA256, PackagedMiniLM, packaged_model_folder, verify_weights
from trading.errors import InvalidModel, ModelUnreachable

TEXTS = [
    "Ripple wins its court case against the regulator",
    "XRP",
    "Bitcoin falls below $30,000 after a broad sell-off in technology shares, and traders who had borrowed "
    "to buy are forced out of their positions within the hour",
    "The regulator loses in court to Ripple",
    "A recipe for apple pie",
]


ODD_TEXTS = [
    "", " \t\n", "\x00\x07", "word " * 900, "[SEP] and [MASK]", "БИТКОЙН растёт", "比特币价格上涨", "Ünïcode Élan ﬁ",
    "🚀🚀 to the moon", "https://example.org/a?b=c&d=%20", "a" * 300, "1,000,000.00 $XRP -3.5%",
]  # fmt: skip


@pytest.fixture(scope="module")
def minilm() -> PackagedMiniLM:
    return PackagedMiniLM()


class Canned(Embeddings):
    def __init__(self, vectors: list[list[float]]) -> None:
        self._vectors = vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._vectors

    def embed_query(self, text: str) -> list[float]:
        return self._vectors[0]


def test_vectors_are_float32_rows_of_unit_length(minilm: PackagedMiniLM) -> None:
    vectors = minilm.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), minilm.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_vectors_come_back_in_the_order_of_the_texts(minilm: PackagedMiniLM) -> None:
    together = minilm.embed(TEXTS * 8)[: len(TEXTS)]
    one_by_one = np.concatenate([minilm.embed([text]) for text in TEXTS])
    assert (together * one_by_one).sum(axis=1).min() > 0.999


def test_the_same_news_in_other_words_is_nearer_than_other_news(minilm: PackagedMiniLM) -> None:
    similarity = minilm.embed(TEXTS) @ minilm.embed(TEXTS).T
    assert similarity[0, 3] > similarity[0, 2] > similarity[0, 4]


@pytest.mark.parametrize(("bfloat16", "least"), [(False, 0.999999), (True, 0.999)])
def test_vectors_are_those_of_the_library_whatever_the_lengths(bfloat16: bool, least: float) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [*TEXTS, *ODD_TEXTS, *(f"{TEXTS[2]} {number}" for number in range(40))]
    library = SentenceTransformer(str(packaged_model_folder()), device="cpu", local_files_only=True)
    theirs = library.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    assert (PackagedMiniLM(bfloat16=bfloat16).embed(texts) * theirs).sum(axis=1).min() >= least


def test_half_precision_keeps_the_direction_of_full_precision() -> None:
    full = PackagedMiniLM(bfloat16=False).embed(TEXTS)
    half = PackagedMiniLM(bfloat16=True).embed(TEXTS)
    assert (full * half).sum(axis=1).min() >= 0.999


def test_langchain_can_use_the_packaged_model(minilm: PackagedMiniLM) -> None:
    assert isinstance(minilm, Embeddings)
    np.testing.assert_allclose(minilm.embed_query(TEXTS[0]), minilm.embed_documents(TEXTS[:1])[0])


def test_no_text_gives_no_row_and_loads_nothing(tmp_path: Path) -> None:
    assert PackagedMiniLM(tmp_path).embed([]).shape == (0, 384)


def test_weights_that_are_not_the_published_ones_are_refused_before_they_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(packaged_model_folder(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(InvalidModel, match=f"expected SHA-256 {MINILM_SHA256}, found [0-9a-f]{{64}}"):
        PackagedMiniLM(folder).embed(TEXTS)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="is missing"):
        verify_weights(tmp_path / "model.safetensors")


def test_loading_runs_on_one_thread_without_warnings_and_without_the_network(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import socket

    import torch

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    torch.set_num_threads(2)
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        PackagedMiniLM().embed(TEXTS[:1])
    assert torch.get_num_threads() == 1
    assert caplog.records == []


def test_vectors_of_any_other_model_are_brought_to_unit_length() -> None:
    embedder = OllamaEmbedder(Canned([[3.0, 4.0]]), "canned")
    np.testing.assert_allclose(embedder.embed(["text"]), [[0.6, 0.8]], rtol=1e-6)
    assert embedder.dimensions == 2


@pytest.mark.parametrize(
    "vectors", [[], [[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0]], [[float("nan"), 1.0]], [[1.0], [1.0, 2.0]]]
)
def test_vectors_of_the_wrong_shape_or_without_a_direction_are_refused(vectors: list[list[float]]) -> None:
    with pytest.raises(ModelUnreachable):
        OllamaEmbedder(Canned(vectors), "canned").embed(["text"])
