"""An estimate of the classifier on headlines it has not seen: nested, grouped cross-validation of the whole path."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.news.minilm_layer import MiniLMLayers
from ml.sentiment.classifier import ClassifierSentiment, decide, subject_of
from ml.sentiment.head import Array
from ml.sentiment.labelled import (
    Indices,
    accuracy,
    grouped_folds,
    macro_f1,
    predicted_labels,
    read_labelled,
)
from ml.sentiment.lexicon import LexiconSentiment
from ml.sentiment.training import FOLDS, RECIPES, nested_out_of_fold, read_examples

SEEDS = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Means over SEEDS; `spread` is the standard deviation of macro-F1 over all folds of all seeds."""

    macro_f1: float
    spread: float
    accuracy: float
    lexicon_macro_f1: float
    lexicon_accuracy: float
    rows: int
    judged_by_head: int

    def __str__(self) -> str:
        return (
            f"macro-F1 {self.macro_f1:.3f} (spread of folds {self.spread:.3f}), accuracy {self.accuracy:.3f}; "
            f"lexicon alone {self.lexicon_macro_f1:.3f}, {self.lexicon_accuracy:.3f}; {self.rows} rows, "
            f"{self.judged_by_head} by the head; {len(SEEDS)} x {FOLDS} folds, {len(RECIPES)} recipes in each"
        )


def estimate(subject: str, path: Path) -> Estimate:
    """Judge every row by a head that has seen neither it, nor a near-duplicate, nor a recipe chosen with it."""
    rows = read_labelled(path)
    layers, lexicon = MiniLMLayers(), LexiconSentiment()
    examples = read_examples(subject, rows)
    by_lexicon = lexicon.score(rows.texts)
    packaged = ClassifierSentiment(layers=layers)
    subjects = [subject_of(text, layers.vocabulary) for text in rows.texts]
    # the other subject's head has not seen this file
    others = [index for index, found in enumerate(subjects) if found not in (subject, None)]
    by_other = dict(zip(others, packaged.score([rows.texts[index] for index in others]), strict=True))
    totals, folds = [], []
    for seed in SEEDS:
        probabilities = nested_out_of_fold(examples, seed)
        scores = [
            0.0
            if found is None
            else by_other[index].score
            if found != subject
            else decide(rows.texts[index], probabilities[index], by_lexicon[index]).score
            for index, found in enumerate(subjects)
        ]
        predicted = predicted_labels(np.array(scores))
        totals.append((macro_f1(rows.labels, predicted), accuracy(rows.labels, predicted)))
        for _, test in grouped_folds(examples.labels, examples.groups, FOLDS, seed):
            folds.append(macro_f1(rows.labels[test], predicted[test]))
    lexicon_labels: Indices = predicted_labels(np.array([each.score for each in by_lexicon]))
    mean: Array = np.mean(totals, axis=0)
    return Estimate(
        macro_f1=float(mean[0]),
        spread=float(np.std(folds)),
        accuracy=float(mean[1]),
        lexicon_macro_f1=macro_f1(rows.labels, lexicon_labels),
        lexicon_accuracy=accuracy(rows.labels, lexicon_labels),
        rows=len(rows.texts),
        judged_by_head=sum(each == subject for each in subjects),
    )
