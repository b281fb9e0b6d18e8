"""How well each sentiment model labels headlines, and how fast: on a folder of CSV files labelled by people.

The folder is `SENTIMENT_DATA`, by default ../shared/data/sentiment beside the checkout. A file of held-out headlines
(columns `text` and `label`) put there is judged as the others are. The classifier has seen the set that it was trained
on: for that set its own row is no estimate; `python -m ml.sentiment.training --evaluate` is.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.row import Benchmark, Row, row
from ml.models.budget import BudgetLadder
from ml.models.clients import ModelClients
from ml.models.ollama import OllamaSettings, should_use_ollama
from ml.models.rules import ClientRules
from ml.sentiment.classifier import ClassifierSentiment
from ml.sentiment.head import PACKAGED, read_weights
from ml.sentiment.labelled import Labelled, accuracy, macro_f1, predicted_labels, read_labelled
from ml.sentiment.lexicon import LexiconSentiment
from ml.sentiment.pair import Sentiment, SentimentModel
from ml.sentiment.select import choose_sentiment_model
from tests.doubles.stores import MemoryModelCalls

_DATA = Path(__file__).parents[2] / "shared" / "data" / "sentiment"
_OLLAMA = OllamaSettings("http://127.0.0.1:11434", "qwen2.5:7b", "nomic-embed-text", 30.0)


class Vader:
    """VADER as published: its authors call a compound below 0.05 neutral."""

    name = "vader"

    def score(self, texts: list[str]) -> list[Sentiment]:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        analyzer = SentimentIntensityAnalyzer()
        compounds = [float(analyzer.polarity_scores(text)["compound"]) for text in texts]
        return [Sentiment(each if abs(each) >= 0.05 else 0.0, 0.5) for each in compounds]


def sentiment() -> Iterator[Row]:
    """Yield accuracy, macro-F1 and texts per second of every available model on every labelled file."""
    files = sorted(Path(os.environ.get("SENTIMENT_DATA", _DATA)).glob("*.csv"))
    trained = {each["sha256"] for each in read_weights(PACKAGED).trained_on.values()}
    models = _available_models()
    for file in files:
        rows = read_labelled(file)
        majority = np.full(len(rows.labels), np.bincount(rows.labels).argmax())
        seen = hashlib.sha256(file.read_bytes()).hexdigest() in trained
        for model in models:
            begin = time.perf_counter()
            predicted = _labels(model, rows)
            rate = len(rows.texts) / (time.perf_counter() - begin)
            note = " (it was trained on this file)" if seen and isinstance(model, ClassifierSentiment) else ""
            identity = f"sentiment/{file.stem}/{model.name}"
            what = f"{model.name} on {len(rows.texts)} headlines of {file.stem}{note}"
            peers = ("the commonest label", "macro-F1")
            for name, measure in (("macro-F1", macro_f1), ("accuracy", accuracy)):
                yield {
                    **row(
                        f"{identity}/{name}", f"{name} of {what}", measure(rows.labels, predicted), name,
                        peers[0], None, target="0.70 crypto, 0.80 company news" if name == peers[1] else "",
                    ),
                    "peer_value": measure(rows.labels, majority),
                }  # fmt: skip
            yield row(f"{identity}/speed", f"speed of {what}", rate, "texts/s", "", None, target="100")


def _available_models() -> list[SentimentModel]:
    models: list[SentimentModel] = [Vader(), LexiconSentiment(), ClassifierSentiment()]
    models[-1].score(["Bitcoin rises"])  # loading is not what is measured
    if should_use_ollama(_OLLAMA, _OLLAMA.chat_model, "auto"):
        models.append(choose_sentiment_model(_OLLAMA, "ollama", {}, _clients))
    return models


def _clients() -> ModelClients:
    return ModelClients(
        MemoryModelCalls(), ClientRules(), BudgetLadder(0.0), (), {}, lambda: datetime.now(UTC).date()
    )


def _labels(model: SentimentModel, rows: Labelled) -> np.ndarray:
    """Return the label of each text; an abstention counts as neutral."""
    return predicted_labels(np.array([each.score if each else 0.0 for each in model.score(rows.texts)]))


BENCHMARKS: dict[str, Benchmark] = {"sentiment": sentiment}
