"""Out-of-sample results, one JSON file beside each fold's bundles."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from ml.learning.evaluation import Evaluation
from ml.learning.registry import PolicyRegistry
from trading.atomic_files import replace_file
from trading.errors import NotStored, UnreadableFile
from trading.market import Pair


class EvaluationFiles:
    """Reads and writes the evaluations of a registry's policies."""

    def __init__(self, policies: PolicyRegistry) -> None:
        self._policies = policies

    def write(self, evaluation: Evaluation) -> None:
        """Replace the evaluation of that policy atomically."""
        folder = self._policies.folder(Pair.parse(evaluation.pair), evaluation.test_month)
        content = json.dumps(evaluation.as_json(), indent=1).encode()
        replace_file(folder / f"evaluation-{evaluation.policy_id}.json", content)

    def read(self, pair: Pair, month: date) -> Evaluation:
        """Read the evaluation of the fold's current policy. NotStored until `policy_evaluation` is materialised."""
        return self.of_policy(pair, month, self._policies.bundle(pair, month).policy_id)

    def of_policy(self, pair: Pair, month: date, policy_id: str) -> Evaluation:
        """Read the evaluation of any policy of the fold. NotStored without one."""
        path = self._policies.folder(pair, month) / f"evaluation-{policy_id}.json"
        if not path.exists():
            raise NotStored(
                f"policy {policy_id} of {pair} {month:%Y-%m} is not evaluated: materialise policy_evaluation"
            )
        with _refusing_damage(path):
            return Evaluation.from_json(json.loads(path.read_text(encoding="utf-8")))

    def newest_run(self, pair: Pair) -> list[Evaluation]:
        """Read the evaluated folds of the newest unbroken run that share the newest one's recipe, oldest first."""
        run: list[Evaluation] = []
        for month in reversed(self._policies.latest_folds(pair)):
            try:
                fold = self.read(pair, month)
            except NotStored:
                break
            if run and fold.recipe != run[0].recipe:
                break
            run.insert(0, fold)
        return run

    def recipes_tried(self, pair: Pair) -> set[str]:
        """Return every recipe that was ever evaluated for the pair: the gate is stricter the more were tried.

        Counted from the evaluations of all policies, not only of those trained last, and from the verdicts in the
        promotion log, which is only added to: removing policies or a champion does not lower the count.
        """
        recipes = self._policies.judged_recipes(pair)
        for path in self._policies.folder_of_pair(pair).glob("*/evaluation-*.json"):
            with _refusing_damage(path):
                recipes.add(str(json.loads(path.read_text(encoding="utf-8"))["recipe"]))
        return recipes


@contextmanager
def _refusing_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        month = path.parent.name
        raise UnreadableFile(f"{path}: {error}; materialise policy_evaluation of {month} again") from None
