"""Train the classifier's weights on labelled headlines, or estimate without a favour how good such weights are.

    python -m ml.sentiment.training --crypto cryptolin_dev.csv --out weights.json
    python -m ml.sentiment.training --crypto cryptolin_dev.csv --evaluate

Multinomial logistic regression (scikit-learn, L-BFGS) on standardised features; one head per subject. Without a file
for companies their head learns from sentences of our own. The same file gives the same weights on one machine.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ml.news.minilm_layer import MiniLMLayers
from ml.sentiment.anchors import anchors
from ml.sentiment.classifier import COMPANY, CRYPTO, features_of
from ml.sentiment.company_sentences import SENTENCES, company_sentences
from ml.sentiment.head import LABELS, Array, LinearHead, Weights, write_weights
from ml.sentiment.labelled import (
    Indices,
    Labelled,
    grouped_folds,
    macro_f1,
    near_duplicate_groups,
    read_labelled,
)
from ml.sentiment.lexicon import READING_SIZE, LexiconSentiment

LAYERS = {CRYPTO: 4, COMPANY: 6}  # of MiniLM: the best of each on its labelled set
FOLDS, INNER_FOLDS = 5, 4
_CONSTANT = 1e-6  # a feature that deviates less says nothing but noise of the arithmetic


@dataclass(frozen=True, slots=True)
class Recipe:
    """`regularisation` is scikit-learn's C; a label weighs by its rarity to the power of `balance`."""

    regularisation: float
    balance: float


# Our own sentences have as much good and bad news as neutral; what companies publish is mostly neutral. The two numbers
# were chosen on one half of Financial PhraseBank's development set.
OWN_SENTENCES = Recipe(3e-4, 1.0)
_NEUTRAL_LEAD = 1.2  # added to the log odds of neutral
_LEXICON_LEAD = (
    1.2  # added to what a good or bad word of the lexicon counts: it knows many more words than were written
)

RECIPES = tuple(Recipe(*values) for values in product((1e-4, 3e-4, 1e-3, 3e-3), (0.5, 0.75, 1.0)))


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows with features (n, features), labels (n,) and groups of near-duplicates (n,).

    The anchors (m, features) and (m,) are added to every training side and are never a test.
    """

    features: Array
    labels: Indices
    groups: Indices
    anchor_features: Array
    anchor_labels: Indices

    def take(self, rows: Indices) -> "Examples":
        """Keep these rows, and all anchors."""
        return replace(self, features=self.features[rows], labels=self.labels[rows], groups=self.groups[rows])


def fit_head(examples: Examples, recipe: Recipe, layer: int) -> LinearHead:
    """Fit on all rows and anchors; the standardisation is folded into the weights."""
    from sklearn.linear_model import LogisticRegression

    features = np.vstack([examples.features, examples.anchor_features])
    labels = np.concatenate([examples.labels, examples.anchor_labels])
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation[deviation < _CONSTANT] = 1.0
    rarity = len(labels) / (len(LABELS) * np.bincount(labels, minlength=len(LABELS)).clip(1))
    model = LogisticRegression(C=recipe.regularisation, max_iter=1000)
    model.fit((features - mean) / deviation, labels, sample_weight=rarity[labels] ** recipe.balance)
    weights = model.coef_.T / deviation[:, None]
    return LinearHead(weights, model.intercept_ - mean @ weights, layer)


def fit_own_sentences(seed: int = 0) -> tuple[LinearHead, dict[str, Any]]:
    """Fit a head for companies on our own sentences; return it and what it was trained on."""
    texts, labels = company_sentences(seed)
    features = features_of(texts, MiniLMLayers(), LAYERS[COMPANY], LexiconSentiment())
    none = np.empty((0, features.shape[1])), np.empty(0, np.int64)
    examples = Examples(features, np.array(labels, np.int64), np.arange(len(texts)), *none)
    head = fit_head(examples, OWN_SENTENCES, LAYERS[COMPANY])
    head.weights[-READING_SIZE] += _LEXICON_LEAD * np.array(
        [-1.0, 0.0, 1.0]
    )  # the compound is first of the reading
    head.bias[LABELS.index("neutral")] += _NEUTRAL_LEAD
    return head, _description(SENTENCES, len(texts), OWN_SENTENCES)


def out_of_fold(examples: Examples, choose: Callable[[Examples], Recipe], folds: int, seed: int) -> Array:
    """Compute (n, 3) probabilities, each row by a head that has not seen it or a near-duplicate of it.

    `choose` sees the training rows alone.
    """
    probabilities = np.empty((len(examples.labels), len(LABELS)))
    for seen, unseen in grouped_folds(examples.labels, examples.groups, folds, seed):
        training = examples.take(seen)
        head = fit_head(training, choose(training), layer=0)
        probabilities[unseen] = head.probabilities(examples.features[unseen])
    return probabilities


def choose_recipe(examples: Examples, seed: int) -> Recipe:
    """Return the recipe of RECIPES with the best macro-F1 in cross-validation; ties go to the first."""

    def score(recipe: Recipe) -> float:
        probabilities = out_of_fold(examples, lambda _: recipe, INNER_FOLDS, seed)
        return macro_f1(examples.labels, probabilities.argmax(axis=1))

    return max(RECIPES, key=score)


def nested_out_of_fold(examples: Examples, seed: int) -> Array:
    """As `out_of_fold`, the recipe of each fold chosen within its training rows alone."""
    return out_of_fold(examples, lambda training: choose_recipe(training, seed), FOLDS, seed)


def read_examples(subject: str, rows: Labelled) -> Examples:
    """Compute features and groups of labelled rows; crypto alone has anchors."""
    from ml.news.minilm import PackagedMiniLM

    layers, layer, lexicon = MiniLMLayers(), LAYERS[subject], LexiconSentiment()
    texts, labels = anchors() if subject == CRYPTO else ([], [])
    return Examples(
        features=features_of(rows.texts, layers, layer, lexicon),
        labels=rows.labels,
        groups=near_duplicate_groups(PackagedMiniLM(bfloat16=False).embed(rows.texts)),
        anchor_features=features_of(texts, layers, layer, lexicon),
        anchor_labels=np.array(labels, np.int64),
    )


def train(paths: dict[str, Path], version: str, seed: int = 0) -> Weights:
    """Choose the recipe and fit a head for each subject on its file; `company` without a file on our sentences."""
    heads: dict[str, LinearHead] = {}
    trained_on: dict[str, Any] = {}
    if COMPANY not in paths:
        heads[COMPANY], trained_on[COMPANY] = fit_own_sentences(seed)
    for subject, path in paths.items():
        examples = read_examples(subject, read_labelled(path))
        recipe = choose_recipe(examples, seed)
        heads[subject] = fit_head(examples, recipe, LAYERS[subject])
        trained_on[subject] = {
            **_description(path, len(examples.labels), recipe),
            "anchors": len(examples.anchor_labels),
        }
    return Weights(version, heads, trained_on)


def _description(path: Path, rows: int, recipe: Recipe) -> dict[str, Any]:
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows": rows,
        "lexicon": LexiconSentiment.name,
        **asdict(recipe),
    }


def main(arguments: Sequence[str]) -> int:
    """Return 0; `--evaluate` prints estimates, `--out` writes weights."""
    parser = argparse.ArgumentParser(prog="python -m ml.sentiment.training", description=__doc__)
    parser.add_argument("--crypto", type=Path, help="CSV with text and label: crypto headlines")
    parser.add_argument("--company", type=Path, help="the same of companies; without it, our own")
    parser.add_argument("--out", type=Path, help="where the weights go")
    parser.add_argument("--version", default="own", help="named in every judgement")
    parser.add_argument("--evaluate", action="store_true", help="nested, grouped cross-validation")
    given = parser.parse_args(arguments)
    paths: dict[str, Path] = {
        name: path for name, path in ((CRYPTO, given.crypto), (COMPANY, given.company)) if path
    }
    if not paths or not (given.out or given.evaluate):
        parser.error("name at least one of --crypto and --company, and --out or --evaluate")
    if given.evaluate:
        from ml.sentiment.evaluation import estimate

        for subject, path in paths.items():
            print(f"{subject}: {estimate(subject, path)}", flush=True)
    if given.out:
        digest = write_weights(given.out, train(paths, given.version))
        print(f"{given.out}: sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
