import numpy as np
import pytest

from ml.learning.observation import Normaliser, observe
from trading.errors import InvalidValue

ROWS = np.array([[1.0, 7.0], [3.0, 7.0], [5.0, 7.0]])
NORMALISER = Normaliser.fit(ROWS, ("a", "b"))


def test_training_rows_become_mean_zero_and_deviation_one() -> None:
    seen = observe(ROWS, 0.0, NORMALISER)
    assert seen[:, 0].mean() == pytest.approx(0, abs=1e-6)
    assert seen[:, 0].std() == pytest.approx(1, abs=1e-6)


def test_a_feature_that_is_constant_in_training_is_shifted_and_not_scaled() -> None:
    assert observe(np.array([[1.0, 8.0]]), 0.0, NORMALISER)[0, 1] == 1.0


def test_the_exposure_is_the_last_column_of_a_float32_observation() -> None:
    seen = observe(ROWS, np.array([0.0, 1.0, 0.5]), NORMALISER)
    assert seen.dtype == np.float32
    assert seen.shape == (3, 3)
    assert seen[:, -1].tolist() == [0.0, 1.0, 0.5]


def test_an_extreme_candle_is_clipped_at_five_deviations() -> None:
    assert observe(np.array([[1e9, -1e9]]), 0.0, NORMALISER)[0].tolist() == [5.0, -5.0, 0.0]


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf])
def test_an_unknown_feature_is_refused_by_name_and_never_a_zero(unknown: float) -> None:
    with pytest.raises(InvalidValue, match="feature b of row 1"):
        observe(np.array([[1.0, 2.0], [1.0, unknown]]), 0.0, NORMALISER)


def test_features_of_another_number_are_refused() -> None:
    with pytest.raises(InvalidValue, match=r"shape \(1, 3\)"):
        observe(np.ones((1, 3)), 0.0, NORMALISER)
