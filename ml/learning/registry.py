"""The trained policies of every pair and month, and the one that trades: the newest is not always the best."""

from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import polars as pl

from ml.learning.bundle import current_bundle
from ml.learning.policy import Policy, load_bundle
from ml.learning.promotion import PromotionVerdict
from trading.errors import NotStored
from trading.market import Pair, next_month
from trading.ports import PromotionLog


class PolicyFolders:
    """Bundles below `root`/<pair>/<YYYY-MM>, all of one dataset: all that reading policies needs."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, pair: Pair, month: date) -> Path:
        """Return the folder that the policies of one fold are written to."""
        return self.folder_of_pair(pair) / f"{month:%Y-%m}"

    def folder_of_pair(self, pair: Pair) -> Path:
        """Return the folder that holds the folders of all its folds."""
        return self._root / pair.key

    def months(self, pair: Pair) -> list[date]:
        """List the test months that have a policy, ascending."""
        found = self.folder_of_pair(pair).glob("*/current")
        return sorted(date.fromisoformat(f"{path.parent.name}-01") for path in found)

    def latest_folds(self, pair: Pair) -> list[date]:
        """List the newest unbroken run of test months that have a policy, ascending; empty when there is none."""
        run: list[date] = []
        for month in reversed(self.months(pair)):
            if run and next_month(month) != run[-1]:
                break
            run.append(month)
        return run[::-1]

    def bundle(self, pair: Pair, month: date) -> Policy:
        """Load the policy trained last for that test month. Raises NotStored when there is none."""
        return load_bundle(current_bundle(self.folder(pair, month)))

    def by_id(self, pair: Pair, policy_id: str) -> Policy:
        """Load any policy that was ever trained for the pair. Raises NotStored when its bundle is missing."""
        return load_bundle(self.folder_of_policy(pair, policy_id))

    def folder_of_policy(self, pair: Pair, policy_id: str) -> Path:
        """Return the folder of a policy's bundle. Raises NotStored when it is missing."""
        for folder in self.folder_of_pair(pair).glob(f"*/{policy_id}"):
            return folder
        raise NotStored(
            f"no bundle of policy {policy_id} below {self.folder_of_pair(pair)}: restore it or promote another"
        )


class PolicyRegistry(PolicyFolders):
    """The folders, and the log of promotions."""

    def __init__(self, root: Path, log: PromotionLog) -> None:
        super().__init__(root)
        self._log = log

    def champion(self, pair: Pair, until: datetime | None = None) -> Policy | None:
        """Load the policy promoted by `until`; None while none had passed the gate. Raises when its bundle is lost."""
        policy_id = self._log.champion(pair, until)
        return None if policy_id is None else self.by_id(pair, policy_id)

    def champions(self, pair: Pair, times: pl.Series) -> list[tuple[slice, Policy | None]]:
        """Return what `champion` says at each of `times` (ascending), as runs of times that have the same answer."""
        recorded = [entry for entry in reversed(self._log.history(pair)) if entry["promoted"]]
        starts = sorted({entry["at"] for entry in recorded})
        bounds = [0, *times.search_sorted(pl.Series(starts, dtype=times.dtype), side="left"), len(times)]
        ids = [
            None,
            *([each["policy_id"] for each in recorded if each["at"] <= start][-1] for start in starts),
        ]
        return [
            (slice(begin, end), None if policy_id is None else self.by_id(pair, policy_id))
            for (begin, end), policy_id in zip(pairwise(bounds), ids, strict=True)
            if begin < end
        ]

    def record(self, pair: Pair, policy_id: str, verdict: PromotionVerdict, at: datetime) -> None:
        """Record the gate's verdict, known from `at` on; the same verdict on the same evidence is recorded once."""
        evidence = {**verdict.evidence, "reasons": list(verdict.reasons)}
        entry = {"policy_id": policy_id, "promoted": verdict.promoted, "evidence": evidence, "at": at}
        if self._log.history(pair)[:1] != [entry]:
            self._log.record(pair, policy_id, verdict.promoted, evidence, at=at)

    def judged_recipes(self, pair: Pair) -> set[str]:
        """Return the recipes that the evidence of all verdicts lists as tried."""
        entries = self._log.history(pair)
        return {recipe for entry in entries for recipe in entry["evidence"].get("recipes_tried", ())}
