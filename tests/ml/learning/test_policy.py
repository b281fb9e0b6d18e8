import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ml.learning.bundle import PARTIAL, current_bundle, write_bundle
from ml.learning.env import EpisodeMarket
from ml.learning.observation import Normaliser, observe
from ml.learning.policy import MANIFEST, WEIGHTS, load_bundle
from ml.learning.training import network_layers, proximal_policy_optimisation
from ml.learning.vector_env import BatchedTradingEnv
from tests.ml.learning.folds_of_candles import COSTS, TINY, bundle, data, manifest_and_layers, market, policy
from trading.errors import InvalidBundle, InvalidValue, NotStored, UnusableHome

ROOT = Path(__file__).parents[3]


def test_numpy_acts_as_stable_baselines_predicts(tmp_path: Path) -> None:
    algorithm = proximal_policy_optimisation(BatchedTradingEnv(market(), 4, 1), TINY)
    algorithm.learn(512)
    manifest, _ = manifest_and_layers()
    loaded = load_bundle(write_bundle(tmp_path, manifest, network_layers(algorithm)))
    features, exposures = data().features[:200], np.arange(200, dtype=np.float64) % 2
    observations = observe(features, exposures, loaded.normaliser)
    with torch.no_grad():
        chosen: Any = algorithm.policy.get_distribution(torch.as_tensor(observations)).distribution
    probabilities = chosen.probs[:, 1].numpy()
    actions = [loaded.act(row, exposure) for row, exposure in zip(features, exposures, strict=True)]
    assert np.allclose(loaded.long_probabilities(features, exposures), probabilities, atol=1e-5)
    assert [action.exposure for action in actions] == algorithm.predict(observations, deterministic=True)[
        0
    ].tolist()
    confident = np.maximum(probabilities, 1 - probabilities)
    assert np.allclose([action.probability for action in actions], confident, atol=1e-5)


def test_acting_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from ml.learning.policy import load_bundle;"
        "policy = load_bundle(pathlib.Path(sys.argv[1]));"
        "policy.act({'signal': 1.0, 'noise': 0.0}, 0.0);"
        "print([name for name in ('torch', 'stable_baselines3', 'gymnasium') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(bundle(tmp_path))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_features_by_name_and_by_order_are_the_same_decision(tmp_path: Path) -> None:
    loaded = policy(tmp_path)
    named = loaded.act({"noise": 0.3, "another": 9.0, "signal": -1.0}, 1.0)
    assert named == loaded.act(np.array([-1.0, 0.3]), 1.0)


def test_a_policy_for_other_features_refuses_to_act(tmp_path: Path) -> None:
    loaded = policy(tmp_path)
    with pytest.raises(InvalidBundle, match="not there: noise"):
        loaded.act({"signal": 1.0}, 0.0)
    with pytest.raises(InvalidBundle, match="reads 2 features"):
        loaded.act(np.ones(3), 0.0)


def test_an_unknown_feature_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="feature noise"):
        policy(tmp_path).act({"signal": 1.0, "noise": float("nan")}, 0.0)


def test_the_same_training_has_the_same_id_whatever_its_speed(tmp_path: Path) -> None:
    manifest, layers = manifest_and_layers()
    first = write_bundle(tmp_path / "a", manifest, layers)
    again = write_bundle(tmp_path / "b", replace(manifest, frames_per_second=1.0), layers)
    other = write_bundle(tmp_path / "b", replace(manifest, seed=9), layers)
    assert first.name == again.name != other.name
    assert (first / WEIGHTS).read_bytes() == (again / WEIGHTS).read_bytes()
    assert current_bundle(tmp_path / "b") == other
    assert load_bundle(again).policy_id == again.name  # an older policy is not overwritten


def test_a_manifest_survives_the_way_through_its_file(tmp_path: Path) -> None:
    manifest, _ = manifest_and_layers()
    written = load_bundle(bundle(tmp_path)).manifest
    assert written.as_json() == {
        **manifest.as_json(),
        "policy_id": written.policy_id,
        "files": dict(written.files),
    }
    assert written.training_end.isoformat() == "2021-02-28T00:00:00+00:00"
    assert (written.training_rows, written.dropped_rows) == ((31 + 27) * 24, 0)


def test_changed_weights_are_refused_with_both_digests(tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[200] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(InvalidBundle, match=r"has SHA-256 .* the manifest says"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_month": "2021-04-01"}, "manifest was changed"),
        ({"mean": [0.0, 0.0]}, "manifest was changed"),
        ({"surprise": 1}, "unknown fields surprise"),
        ({"timeframe": "7m"}, "7m"),
        ({"test_month": None}, "manifest"),
    ],
)
def test_a_changed_manifest_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = bundle(tmp_path)
    values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps({**values, **change}), encoding="utf-8")
    with pytest.raises(InvalidBundle, match=message):
        load_bundle(folder)


def test_weights_of_another_shape_than_manifest_and_layers_are_refused(tmp_path: Path) -> None:
    manifest, layers = manifest_and_layers()
    with pytest.raises(InvalidBundle, match="has layers"):
        load_bundle(write_bundle(tmp_path, replace(manifest, hidden_sizes=(99,)), layers))


def test_half_a_bundle_is_not_a_bundle(tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    (folder / WEIGHTS).unlink()
    with pytest.raises(InvalidBundle, match=f"{WEIGHTS} is missing"):
        load_bundle(folder)
    (folder / MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(InvalidBundle, match=MANIFEST):
        load_bundle(folder)
    with pytest.raises(NotStored, match="materialise ppo_policy"):
        load_bundle(tmp_path / "nothing")


def test_a_broken_bundle_is_replaced_by_training_again(tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    (folder / WEIGHTS).write_bytes(b"")
    assert bundle(tmp_path) == folder
    assert load_bundle(folder).policy_id == folder.name


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(content: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UnusableHome, match=r"No space left.*Free disk space"):
        bundle(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_dead_writer_are_removed_and_those_of_a_living_one_stay(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, living = tmp_path / f"{PARTIAL}{ended.pid}-x", tmp_path / f"{PARTIAL}1-x"
    for leftover in (dead, living):
        leftover.mkdir()
        (leftover / WEIGHTS).write_bytes(b"half")
    bundle(tmp_path)
    assert not dead.exists()
    assert living.exists()


def test_the_normaliser_in_a_bundle_is_the_one_of_the_training_rows(tmp_path: Path) -> None:
    loaded, rows = policy(tmp_path), data()
    expected = Normaliser.fit(rows.features, rows.feature_names)
    assert np.array_equal(loaded.normaliser.mean, expected.mean)
    assert np.array_equal(loaded.normaliser.std, expected.std)
    assert (
        EpisodeMarket.of(rows.features, rows.opens, rows.closes, COSTS, expected, 5).starts
        == len(rows.opens) - 5
    )
