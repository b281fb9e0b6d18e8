import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ml.learning.evaluation import evaluate
from ml.learning.evaluation_files import EvaluationFiles
from ml.learning.promotion import PromotionRules, judge_promotion
from ml.learning.registry import PolicyRegistry
from tests.doubles.stores import MemoryPromotions
from tests.ml.learning.folds_of_candles import COSTS, MARCH, PAIR, TINY, bundle, table
from trading.errors import NotStored, UnreadableFile

RULES = PromotionRules(1, 0.5, 0, 0.0, 0.5, 1)


@pytest.fixture
def registry(tmp_path: Path) -> PolicyRegistry:
    return PolicyRegistry(tmp_path, MemoryPromotions())


def evaluate_and_write(registry: PolicyRegistry, seed: int) -> Path:
    """Train and evaluate with a seed, which makes the recipe; return the evaluation's file."""
    bundle(registry.folder(PAIR, MARCH), replace(TINY, seed=seed))
    found = evaluate(registry.bundle(PAIR, MARCH), table(), table(), COSTS)
    EvaluationFiles(registry).write(found)
    return registry.folder(PAIR, MARCH) / f"evaluation-{found.policy_id}.json"


def test_an_evaluation_is_read_back_as_it_was_written(registry: PolicyRegistry) -> None:
    evaluate_and_write(registry, seed=3)
    [read] = EvaluationFiles(registry).newest_run(PAIR)
    assert read == evaluate(registry.bundle(PAIR, MARCH), table(), table(), COSTS)
    with pytest.raises(NotStored, match="no policy was trained"):
        EvaluationFiles(registry).read(PAIR, date(2021, 4, 1))


def test_an_evaluation_of_an_older_version_is_refused_with_what_to_do(registry: PolicyRegistry) -> None:
    path = evaluate_and_write(registry, seed=3)
    values = json.loads(path.read_text(encoding="utf-8"))
    old = {name: value for name, value in values.items() if name not in ("format", "daily")}
    path.write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(UnreadableFile, match=r"format 1, .* materialise policy_evaluation of 2021-03 again"):
        EvaluationFiles(registry).read(PAIR, MARCH)
    assert len(EvaluationFiles(registry).recipes_tried(PAIR)) == 1


def test_every_recipe_that_was_evaluated_counts_as_tried_and_not_only_the_last(
    registry: PolicyRegistry,
) -> None:
    for seed in (3, 8, 3):
        evaluate_and_write(registry, seed)
    assert len(EvaluationFiles(registry).recipes_tried(PAIR)) == 2


def test_removing_policies_does_not_lower_the_count_of_recipes_that_were_judged(
    registry: PolicyRegistry,
) -> None:
    files = EvaluationFiles(registry)
    for seed in (3, 8):
        evaluate_and_write(registry, seed)
    verdict = judge_promotion(files.newest_run(PAIR), RULES, files.recipes_tried(PAIR))
    registry.record(PAIR, "judged", verdict, datetime(2021, 4, 1, tzinfo=UTC))
    shutil.rmtree(registry.folder_of_pair(PAIR))
    assert len(files.recipes_tried(PAIR)) == 2


def test_a_damaged_evaluation_is_refused_and_never_left_out_of_the_count(registry: PolicyRegistry) -> None:
    evaluate_and_write(registry, seed=3).write_bytes(b"{")
    with pytest.raises(UnreadableFile, match="materialise policy_evaluation of 2021-03 again"):
        EvaluationFiles(registry).recipes_tried(PAIR)
