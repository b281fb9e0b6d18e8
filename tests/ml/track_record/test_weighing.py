"""What past votes make of the weight of the next ones: skill has to be shown, and nothing of later is in it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from random import Random
from typing import Any

import polars as pl
import pytest

from ml.agents.vote_weights import VoteWeight, VoteWeights
from ml.track_record.board import BoardMaker
from ml.track_record.cut_off import CutOffs
from ml.track_record.weighing import HIGHEST, LOWEST, MemoryRules, Weigher, weight_of_rate
from tests.doubles.stores import MemoryTable
from tests.ml.track_record.voted import BTC, CHAT, FIRST, FRAME, HOUR, XRP, candles, table, vote
from trading.errors import InvalidValue
from trading.market import month_of

RULES = MemoryRules(enabled=True, horizon=4, window_days=180, minimum_windows=50, switch=0.1, recovery=0.02)
HOURS = 400
RANDOM = Random(3)
OPENS = [100.0]
for _ in range(HOURS + 40):
    OPENS.append(OPENS[-1] * (1 + RANDOM.choice([-1, 1]) * RANDOM.uniform(0.001, 0.01)))
LATER = FIRST + (HOURS + 30) * HOUR


def rises(candle: int) -> bool:
    return OPENS[candle + 5] > OPENS[candle + 1]


def votes(right: float, seed: int = 1, confidence: float = 0.2, **changes: Any) -> list[Any]:
    """A vote on each candle, with this chance of being right over four candles."""
    random = Random(seed)
    return [
        vote(candle, "LONG" if rises(candle) == (random.random() < right) else "SHORT", confidence, **changes)
        for candle in range(HOURS)
    ]


def weigher(
    recorded: Sequence[Any], opens: Sequence[float] = OPENS, rules: MemoryRules = RULES, days: Any = None
) -> Weigher:
    class Log:
        def read(self, start: datetime, end: datetime, models: Sequence[str] | None = None) -> pl.DataFrame:
            return table(*recorded).filter(pl.col("closed_at") >= start, pl.col("closed_at") < end)

    prices, features = MemoryTable(None), MemoryTable(None)
    rows = candles(opens).with_columns(close_time=pl.col("open_time") + HOUR)
    regimes = ["quiet" if number % 100 < 50 else "volatile" for number in range(len(opens))]
    for pair in (BTC, XRP):
        prices.write(pair, month_of(FIRST), rows)
        features.write(pair, month_of(FIRST), rows.with_columns(regime=pl.Series(regimes)))
    return Weigher(BoardMaker(Log(), prices, features, (BTC, XRP), FRAME, {}, CutOffs(days or {})), rules)


def weighed(
    recorded: Sequence[Any], previous: VoteWeights | None = None, **changes: Any
) -> dict[Any, VoteWeight]:
    made = weigher(recorded, **changes).weights(LATER, previous)
    return {(each.agent, each.model, each.regime): each for each in made.weights}


ALL = ("technical", "rules/1", "")


def test_who_is_right_more_often_weighs_more() -> None:
    good, better = weighed(votes(0.57, confidence=0.1))[ALL], weighed(votes(0.8, confidence=0.5))[ALL]
    assert 1.0 < good.weight < better.weight == HIGHEST
    assert (good.votes, good.windows) == (HOURS, HOURS // 4 + 1)


def test_a_coin_that_is_sure_of_itself_loses_its_vote() -> None:
    coin = weighed(votes(0.5, confidence=0.6))[ALL]
    assert coin.skill < 0
    assert coin.weight == 0


def test_who_says_long_in_a_rising_market_has_no_more_than_the_base_rate() -> None:
    rising = [100 * 1.001**number for number in range(len(OPENS))]
    [judged] = [
        each
        for key, each in weighed([vote(n, "LONG", 0.9) for n in range(HOURS)], opens=rising).items()
        if key == ALL
    ]
    assert (judged.hit_rate, judged.weight) == (1.0, 0.0)


def test_a_short_record_changes_nothing_whatever_it_says() -> None:
    for right in (0.0, 1.0):
        few = [each for number, each in enumerate(votes(right, confidence=0.6)) if number < 4 * 48]
        assert {each.weight for each in weighed(few).values()} == {1.0}


def test_votes_on_many_pairs_at_one_time_are_one_piece_of_evidence() -> None:
    few = votes(1.0)[: 4 * 48]
    both = [*few, *({**each, "pair": str(XRP)} for each in few)]
    record = weighed(both)[ALL]
    assert (record.votes, record.windows, record.weight) == (2 * 4 * 48, 49, 1.0)


def test_each_regime_has_a_record_of_its_own() -> None:
    good = votes(0.9, confidence=0.5)
    bad = [{**each, "action": {"LONG": "SHORT", "SHORT": "LONG"}[each["action"]]} for each in good]
    mixed = [good[candle] if candle % 100 < 50 else bad[candle] for candle in range(HOURS)]
    found = weighed(mixed, rules=replace(RULES, minimum_windows=20))
    assert found["technical", "rules/1", "quiet"].weight > 1
    assert found["technical", "rules/1", "volatile"].weight == 0


def test_the_record_of_the_quant_is_that_of_all_its_policies_and_a_model_has_its_own() -> None:
    halves = [
        {**each, "model": f"policy-{number % 2}", "agent": "quant"} for number, each in enumerate(votes(0.7))
    ]
    found = weighed(
        [*halves, *votes(0.7, agent="analyst", model="a"), *votes(0.7, agent="analyst", model="b")]
    )
    assert found["quant", "", ""].votes == HOURS
    assert {key for key in found if not key[2]} == {
        ("quant", "", ""),
        ("analyst", "a", ""),
        ("analyst", "b", ""),
    }


def test_neither_shadow_votes_nor_what_a_model_may_have_read_count() -> None:
    day = date(2024, 3, 10)
    recorded = [*votes(0.7, shadow=True), *votes(0.7, agent="trader-x", model=CHAT)]
    found = weighed(recorded, days={CHAT: day})
    assert {key for key in found if not key[2]} == {("trader-x", CHAT, "")}
    clean = [each for each in recorded if each["closed_at"].date() > day and not each["shadow"]]
    assert found["trader-x", CHAT, ""].votes == len(clean) < HOURS
    assert weighed(recorded) == {}  # a model whose knowledge may reach to now has no record


def test_nothing_that_came_later_is_in_it() -> None:
    recorded = votes(0.7)
    for hours in (100, 237, 399):
        until = FIRST + hours * HOUR
        opens = [price if FIRST + (number + 1) * HOUR <= until else 1.0 for number, price in enumerate(OPENS)]
        known = [each for each in recorded if each["closed_at"] < until]
        then = weigher(known, opens).weights(until, None)
        assert then == weigher(recorded).weights(until, None)
        assert then.weights


def test_old_votes_are_forgotten() -> None:
    rules = replace(RULES, window_days=10)
    assert weighed(votes(0.7), rules=rules)[ALL].votes == HOURS + 1 - (430 - 10 * 24)


def changed(before: float, right: float, rules: MemoryRules = RULES) -> float:
    plain = weigher(votes(right), rules=rules).weights(LATER, None)
    previous = replace(plain, weights=tuple(replace(each, weight=before) for each in plain.weights))
    return weighed(votes(right), previous, rules=rules)[ALL].weight


def test_a_small_change_is_not_made() -> None:
    now = weighed(votes(0.62))[ALL].weight
    assert changed(now + 0.09, 0.62) == pytest.approx(now + 0.09)
    assert changed(now + 0.11, 0.62) == now


def test_who_lost_the_vote_gets_it_back_where_the_skill_is_clear() -> None:
    skill = weighed(votes(0.62))[ALL].skill
    assert skill > 0.02
    assert changed(0.0, 0.62) > 0
    assert changed(0.0, 0.62, replace(RULES, recovery=skill + 0.01)) == 0
    assert changed(1.0, 0.62, replace(RULES, recovery=skill + 0.01)) > 0


def test_a_version_of_another_horizon_says_nothing_of_this_one() -> None:
    plain = weigher(votes(0.62)).weights(LATER, None)
    lost = replace(plain, weights=tuple(replace(each, weight=0.0) for each in plain.weights))
    rules = replace(RULES, recovery=0.99)
    assert weighed(votes(0.62), lost, rules=rules)[ALL].weight == 0
    assert weighed(votes(0.62), replace(lost, horizon=lost.horizon + 1), rules=rules)[ALL].weight > 0


def test_weights_stay_in_their_bounds_and_begin_at_one() -> None:
    assert weight_of_rate(0.9, 0) == 1.0
    rates = [weight_of_rate(rate / 20, 1000) for rate in range(21)]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (LOWEST, HIGHEST)


@pytest.mark.parametrize(
    "wrong",
    [{"horizon": 0}, {"window_days": 0}, {"minimum_windows": 9}, {"switch": 0.25}, {"recovery": 1.0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_impossible_rules_are_refused_by_name(wrong: dict[str, Any]) -> None:
    make: Callable[..., MemoryRules] = replace
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        make(RULES, **wrong)


def test_who_only_ever_says_long_has_skill_where_it_is_right_more_often_than_the_market_rises() -> None:
    random = Random(5)
    longs = [
        vote(candle, "LONG", 0.8, agent="quant", model="a-policy")
        for candle in range(HOURS)
        if random.random() < (0.75 if rises(candle) else 0.25)
    ]
    judged = weighed(longs, rules=replace(RULES, minimum_windows=30))["quant", "", ""]
    assert 0.7 < judged.hit_rate < 0.8
    assert judged.skill > 0.05
    assert judged.weight > 1


def test_how_sure_of_itself_a_judge_is_takes_its_vote_as_little_as_modesty_gives_it() -> None:
    sure, modest = (weighed(votes(0.62, confidence=each))[ALL] for each in (0.95, 0.2))
    assert sure.weight == modest.weight > 1
    for confidence in (0.95, 0.2):
        assert weighed(votes(0.45, confidence=confidence))[ALL].weight == 0


def test_a_vote_that_was_lost_is_not_won_back_by_being_forgotten() -> None:
    few = votes(0.9)[: 4 * 48]
    plain = weigher(few).weights(LATER, None)
    lost = replace(plain, weights=tuple(replace(each, weight=0.0) for each in plain.weights))
    after = weigher(few).weights(LATER, lost)
    assert {each.weight for each in after.weights} == {0.0}
    judged = after.of("technical", "rules/1", None)
    assert judged is not None
    assert judged.windows < RULES.minimum_windows
