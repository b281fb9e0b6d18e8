from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ml.learning.promotion import PromotionVerdict
from ml.learning.registry import PolicyRegistry
from tests.doubles.stores import MemoryPromotions
from tests.ml.learning.folds_of_candles import PAIR, TINY, bundle
from trading.errors import InvalidBundle, NotStored

NOW = datetime(2022, 1, 1, tzinfo=UTC)


def test_the_newest_unbroken_run_of_months_is_what_can_be_judged(tmp_path: Path) -> None:
    registry = PolicyRegistry(tmp_path, MemoryPromotions())
    assert registry.latest_folds(PAIR) == []
    months = [date(2021, month, 1) for month in (1, 2, 4, 5)]
    for month in months:
        bundle(registry.folder(PAIR, month), month=month)
    (registry.folder(PAIR, date(2021, 6, 1))).mkdir()  # a training that wrote nothing
    assert registry.months(PAIR) == months
    assert registry.latest_folds(PAIR) == months[2:]
    assert registry.bundle(PAIR, months[0]).test_month == months[0]
    with pytest.raises(NotStored):
        registry.bundle(PAIR, date(2021, 6, 1))


def test_the_champion_is_the_promoted_policy_and_not_the_newest(tmp_path: Path) -> None:
    registry = PolicyRegistry(tmp_path, MemoryPromotions())
    assert registry.champion(PAIR) is None
    folder = registry.folder(PAIR, date(2021, 3, 1))
    promoted = bundle(folder).name
    registry.record(PAIR, promoted, PromotionVerdict(True, ("why",), {"folds": []}), NOW)
    newer = bundle(folder, replace(TINY, seed=8)).name
    registry.record(PAIR, newer, PromotionVerdict(False, ("why not",), {}), NOW)
    champion = registry.champion(PAIR)
    assert champion is not None
    assert champion.policy_id == promoted != newer
    assert registry.bundle(PAIR, date(2021, 3, 1)).policy_id == newer


def test_a_champion_that_is_lost_or_changed_is_an_error_and_never_no_champion(tmp_path: Path) -> None:
    registry = PolicyRegistry(tmp_path, MemoryPromotions())
    folder = bundle(registry.folder(PAIR, date(2021, 3, 1)))
    registry.record(PAIR, folder.name, PromotionVerdict(True, (), {}), NOW)
    (folder / "weights.npz").write_bytes(b"")
    with pytest.raises(InvalidBundle):
        registry.champion(PAIR)
    registry.record(PAIR, "gone", PromotionVerdict(True, (), {}), NOW)
    with pytest.raises(NotStored, match="no bundle of policy gone"):
        registry.champion(PAIR)
