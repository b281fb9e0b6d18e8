"""Out-of-sample results, one JSON file beside each fold's bundles."""

import json
import os
from datetime import date

from ml.learning.evaluation import Evaluation
from ml.learning.registry import PolicyRegistry
from trading.errors import NotStored, UnreadableFile
from trading.market import Pair


class EvaluationFiles:
    """Reads and writes the evaluations of a registry's policies."""

    def __init__(self, policies: PolicyRegistry) -> None:
        self._policies = policies

    def write(self, evaluation: Evaluation) -> None:
        """Replace the evaluation of that policy atomically."""
        folder = self._policies.folder(Pair.parse(evaluation.pair), evaluation.test_month)
        draft = folder / f".evaluation-{evaluation.policy_id}.partial"
        draft.write_text(json.dumps(evaluation.as_json(), indent=1), encoding="utf-8")
        os.replace(draft, folder / f"evaluation-{evaluation.policy_id}.json")

    def read(self, pair: Pair, month: date) -> Evaluation:
        """Read the evaluation of the fold's current policy. NotStored until `policy_evaluation` is materialised."""
        policy = self._policies.bundle(pair, month)
        path = self._policies.folder(pair, month) / f"evaluation-{policy.policy_id}.json"
        try:
            return Evaluation.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise NotStored(
                f"policy {policy.policy_id} of {pair} {month:%Y-%m} is not evaluated: materialise policy_evaluation"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableFile(f"{path}: {error}; materialise policy_evaluation for it again") from None

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
