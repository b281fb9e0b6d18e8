"""The embedded default: a small classifier on a layer of MiniLM and the lexicon's reading. No network.

It judges English news, of crypto and of companies with a head for each; a subject without a head goes to the lexicon,
and a text in another language or in none is not judged (confidence 0). Where a hand-written rule sees an ending or a
result that the classifier does not see, the rule has the last word.
"""

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from ml.news.minilm_layer import MiniLMLayers
from ml.sentiment.endings import mark_endings
from ml.sentiment.head import LABELS, PACKAGED, Array, read_weights
from ml.sentiment.lexicon import READING_SIZE, LexiconSentiment
from ml.sentiment.masking import mask_assets
from ml.sentiment.pair import UNREADABLE, Sentiment
from ml.sentiment.readable import is_crypto, is_english
from ml.sentiment.results import result_of

CRYPTO, COMPANY = "crypto", "company"
_MIN_SCORE = 0.1  # below, good and bad are as likely: that is no side


class ClassifierSentiment:
    """Score is P(positive) - P(negative), exactly 0 where neutral is the likeliest or both sides are even."""

    def __init__(self, weights: Path = PACKAGED, layers: MiniLMLayers | None = None) -> None:
        self._weights = read_weights(weights)
        self._layers = layers or MiniLMLayers()
        self._lexicon = LexiconSentiment()
        self.name = f"minilm-lexicon/{self._weights.version}"

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """Score every text, in order; UNREADABLE where it is no English."""
        subjects = [subject_of(text, self._layers.vocabulary) for text in texts]
        judged = [
            UNREADABLE if subject is None else self._lexicon.score([text])[0]
            for text, subject in zip(texts, subjects, strict=True)
        ]
        for subject, head in self._weights.heads.items():
            chosen = [index for index, found in enumerate(subjects) if found == subject]
            if chosen:
                features = features_of(
                    [texts[index] for index in chosen], self._layers, head.layer, self._lexicon
                )
                for index, probabilities in zip(chosen, head.probabilities(features), strict=True):
                    judged[index] = decide(texts[index], probabilities, judged[index])
        return judged


def subject_of(text: str, vocabulary: Container[str]) -> str | None:
    """Return CRYPTO, COMPANY, or None for a text that is no English by the model's `vocabulary`."""
    if not is_english(text, vocabulary):
        return None
    return CRYPTO if is_crypto(text) else COMPANY


def features_of(texts: Sequence[str], layers: MiniLMLayers, layer: int, lexicon: LexiconSentiment) -> Array:
    """Compute (n, 777): mean and maximum of the layer over the text without names, then the lexicon's reading."""
    readings = np.array([lexicon.reading(text) for text in texts], np.float64).reshape(
        len(texts), READING_SIZE
    )
    pooled = layers.pooled([mask_assets(text) for text in texts], layer)
    return np.hstack([pooled.astype(np.float64), readings])


def decide(text: str, probabilities: Array, by_lexicon: Sentiment) -> Sentiment:
    """Return the likeliest label as a score, or the lexicon's judgement where a rule contradicts it."""
    label, lead = LABELS[int(probabilities.argmax())], float(probabilities[2] - probabilities[0])
    score = 0.0 if label == "neutral" or abs(lead) < _MIN_SCORE else lead
    ruled = result_of(text) or mark_endings(text) != text
    if ruled and np.sign(score) != np.sign(by_lexicon.score):
        return by_lexicon
    return Sentiment(score, float(probabilities.max()))
