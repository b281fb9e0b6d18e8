"""The embedded default: a small classifier on MiniLM's inner layer and the lexicon's reading. No network.

It judges English crypto news. Company news without a head of its own goes to the lexicon; a text in another language
or in none is not judged (confidence 0). Where a hand-written rule sees an ending that the classifier does not see, the
rule has the last word.
"""

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from ml.news.minilm_layer import MiniLMLayer
from ml.sentiment.endings import mark_endings
from ml.sentiment.head import LABELS, PACKAGED, Array, read_weights
from ml.sentiment.lexicon import READING_SIZE, LexiconSentiment
from ml.sentiment.masking import mask_assets
from ml.sentiment.pair import UNREADABLE, Sentiment
from ml.sentiment.readable import is_crypto, is_english

CRYPTO, COMPANY = "crypto", "company"
_MIN_SCORE = 0.1  # below, good and bad are as likely: that is no side


class ClassifierSentiment:
    """Score is P(positive) - P(negative), exactly 0 where neutral is the likeliest or both sides are even."""

    def __init__(self, weights: Path = PACKAGED, layer: MiniLMLayer | None = None) -> None:
        self._weights = read_weights(weights)
        self._layer = layer or MiniLMLayer(self._weights.layer)
        self._lexicon = LexiconSentiment()
        self.name = f"minilm-lexicon/{self._weights.version}"

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """Score every text, in order; UNREADABLE where it is no English."""
        subjects = [subject_of(text, self._layer.vocabulary) for text in texts]
        judged = [
            UNREADABLE if subject is None else self._lexicon.score([text])[0]
            for text, subject in zip(texts, subjects, strict=True)
        ]
        for subject, head in self._weights.heads.items():
            chosen = [index for index, found in enumerate(subjects) if found == subject]
            if chosen:
                features = features_of([texts[index] for index in chosen], self._layer, self._lexicon)
                for index, probabilities in zip(chosen, head.probabilities(features), strict=True):
                    judged[index] = decide(texts[index], probabilities, judged[index])
        return judged


def subject_of(text: str, vocabulary: Container[str]) -> str | None:
    """Return CRYPTO, COMPANY, or None for a text that is no English by the model's `vocabulary`."""
    if not is_english(text, vocabulary):
        return None
    return CRYPTO if is_crypto(text) else COMPANY


def features_of(texts: Sequence[str], layer: MiniLMLayer, lexicon: LexiconSentiment) -> Array:
    """Compute (n, 776): mean and maximum of the layer over the text without names, then the lexicon's reading."""
    readings = np.array([lexicon.reading(text) for text in texts], np.float64).reshape(
        len(texts), READING_SIZE
    )
    return np.hstack([layer.pooled([mask_assets(text) for text in texts]).astype(np.float64), readings])


def decide(text: str, probabilities: Array, by_lexicon: Sentiment) -> Sentiment:
    """Return the likeliest label as a score, or the lexicon's judgement where an ending contradicts it."""
    label, lead = LABELS[int(probabilities.argmax())], float(probabilities[2] - probabilities[0])
    score = 0.0 if label == "neutral" or abs(lead) < _MIN_SCORE else lead
    if mark_endings(text) != text and np.sign(score) != np.sign(by_lexicon.score):
        return by_lexicon
    return Sentiment(score, float(probabilities.max()))
