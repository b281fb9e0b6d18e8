import math
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from trading.errors import InvalidValue
from trading.metrics import probability_of_overfitting

Array = npt.NDArray[np.float64]


def noise(seed: int, periods: int = 320, strategies: int = 20) -> Array:
    return np.random.default_rng(seed).normal(0, 0.01, (periods, strategies))


def slow(returns: Array, blocks: int) -> tuple[float, list[float], float, float]:
    """The paper's procedure word by word: probability, logits, slope and loss."""
    parts = np.array_split(returns, blocks)
    logits, pairs = [], []
    for members in combinations(range(blocks), blocks // 2):
        in_sample = np.concatenate([part for index, part in enumerate(parts) if index in members])
        out_of_sample = np.concatenate([part for index, part in enumerate(parts) if index not in members])
        sharpe = in_sample.mean(axis=0) / in_sample.std(axis=0, ddof=1)
        best = int(sharpe.argmax())
        later = out_of_sample.mean(axis=0) / out_of_sample.std(axis=0, ddof=1)
        pairs.append((sharpe[best], later[best]))
        rank = int((later <= later[best]).sum()) / (returns.shape[1] + 1)
        logits.append(math.log(rank / (1 - rank)))
    slope = float(np.polyfit(*zip(*pairs, strict=True), 1)[0])
    loss = float(np.mean([later < 0 for _, later in pairs]))
    return float(np.mean(np.array(logits) <= 0)), logits, slope, loss


@pytest.mark.parametrize("strategies", [5, 20])  # five have a median, which counts as the lower half
@pytest.mark.parametrize("blocks", [2, 4, 8])
def test_the_paper_s_procedure_step_by_step_agrees(blocks: int, strategies: int) -> None:
    returns = noise(1, strategies=strategies)
    probability, logits, slope, loss = slow(returns, blocks)
    found = probability_of_overfitting(returns, blocks)
    assert found.probability == probability
    assert found.logits == pytest.approx(logits)
    assert found.slope == pytest.approx(slope)
    assert found.loss == loss


def test_the_best_of_pure_noise_is_picked_blindly() -> None:
    found = [probability_of_overfitting(noise(seed), 8) for seed in range(40)]
    assert np.mean([each.probability for each in found]) == pytest.approx(0.5, abs=0.08)


def test_a_truly_better_strategy_is_not_overfitted() -> None:
    returns = noise(2)
    returns[:, 7] += 0.004
    found = probability_of_overfitting(returns)
    assert found.probability < 0.01
    assert found.loss < 0.01
    assert found.splits == 12_870


def test_a_strategy_that_is_only_good_in_sample_is_overfitted() -> None:
    """Each is good in one block and bad in the next, so the best of one half fails on the other."""
    returns = noise(3, periods=160, strategies=16)
    for strategy in range(16):
        good = slice(strategy * 10, strategy * 10 + 10)
        bad = [(strategy * 10 + 10 + k) % 160 for k in range(10)]
        returns[good, strategy] += 0.05
        returns[bad, strategy] -= 0.05
    found = probability_of_overfitting(returns)
    assert found.probability > 0.9


def test_strategies_that_tie_share_their_rank() -> None:
    same = np.repeat(noise(4, strategies=1), 3, axis=1)
    found = probability_of_overfitting(same, 4)
    assert found.logits == pytest.approx(np.zeros(6), abs=1e-12)


def test_a_strategy_that_never_trades_has_a_sharpe_ratio_of_zero() -> None:
    returns = np.column_stack([np.zeros(64), -np.abs(noise(5, 64, 3))])
    found = probability_of_overfitting(returns, 4)
    assert found.probability == 0.0
    assert found.loss == 0.0
    assert found.slope is None


def test_the_oldest_periods_that_do_not_fill_a_block_are_left_out() -> None:
    returns = noise(6, periods=83)
    found = probability_of_overfitting(returns, 8)
    assert found.logits == pytest.approx(probability_of_overfitting(returns[3:], 8).logits)


def test_scale_does_not_matter() -> None:
    returns = noise(7)
    assert probability_of_overfitting(returns * 4, 8).logits == pytest.approx(
        probability_of_overfitting(returns, 8).logits
    )


@pytest.mark.parametrize(
    ("returns", "blocks"),
    [
        (noise(0), 7), (noise(0), 0), (noise(0), 22), (noise(0)[:, :1], 8), (noise(0)[:15], 8),
        (noise(0)[:, 0], 8), (np.empty((0, 0)), 8),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_split_is_refused(returns: Array, blocks: int) -> None:
    with pytest.raises(InvalidValue):
        probability_of_overfitting(returns, blocks)


def test_an_unknown_return_is_refused_by_place() -> None:
    returns = noise(0)
    returns[5, 3] = np.nan
    with pytest.raises(InvalidValue, match="strategy 3 in period 5"):
        probability_of_overfitting(returns)
