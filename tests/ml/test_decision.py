import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import polars as pl
import pytest

from ml.decision import decide, decision_id, hit_protection
from ml.known import Known
from ml.receipt import candles_digest, canonical
from ml.sentiment import PairSentiment
from tests.ml.trading_day import FALLING, LIMITS, PAIR, RISING, RULES, START, known, with_equity
from trading.orders import Side
from trading.portfolio import Position


def position(before: Known, quantity: str, stop: str, target: str) -> Position:
    opened = before.candles["open_time"][-3]
    return Position(
        before.account, PAIR, Decimal(quantity), Decimal("50000"), Decimal(stop), Decimal(target), opened
    )


def test_a_clean_rise_becomes_a_buy_within_every_limit() -> None:
    before = known(RISING)
    decided = decide(before, RULES)
    intent = decided.intent
    assert intent is not None
    assert intent.side is Side.BUY
    assert intent.stop_loss is not None
    assert intent.stop_loss < Decimal(before.close) < (intent.take_profit or 0)
    assert float(intent.quantity) * before.close <= LIMITS.position_cap * before.state.equity
    assert (
        float(intent.quantity) * (before.close - float(intent.stop_loss))
        <= LIMITS.risk_per_trade * 2100 * 1.001
    )


def test_a_clean_fall_sells_inventory_and_never_more_than_there_is() -> None:
    before = known(FALLING)
    intent = decide(before, RULES).intent
    assert intent is not None
    assert intent.side is Side.SELL
    assert intent.quantity <= Decimal("0.02")
    assert intent.stop_loss is not None
    assert intent.stop_loss > Decimal(before.close)


def test_the_same_inputs_give_the_same_receipt_to_the_byte() -> None:
    assert canonical(decide(known(), RULES).receipt) == canonical(decide(known(), RULES).receipt)


def test_the_receipt_is_json_and_names_every_input_vote_and_rule() -> None:
    receipt = json.loads(canonical(decide(known(), RULES).receipt))
    assert {opinion["agent"] for opinion in receipt["opinions"]} == {"technical", "quant", "analyst"}
    assert receipt["inputs"]["candles"]["sha256"] == candles_digest(known().candles)
    assert {"drawdown", "daily loss", "position cap", "stop-loss"} <= {
        verdict["rule"] for verdict in receipt["risk"]["verdicts"]
    }


def test_one_changed_digit_of_one_candle_changes_the_digest() -> None:
    before = known().candles
    after = before.with_columns(
        pl.when(pl.col("open_time") == START)
        .then(pl.col("volume") + 1e-9)
        .otherwise(pl.col("volume"))
        .alias("volume")
    )
    assert candles_digest(before) != candles_digest(after)


def test_the_id_depends_on_account_pair_and_candle_alone() -> None:
    before = known()
    other = replace(
        before, state=replace(before.state, equity=5.0), decided_at=before.decided_at + timedelta(minutes=3)
    )
    assert decide(before, RULES).decision_id == decide(other, RULES).decision_id
    assert decision_id("another", PAIR, before.candle_close_time) != decide(before, RULES).decision_id


def test_quant_without_champion_and_analyst_without_news_abstain_and_say_so() -> None:
    votes = {opinion["agent"]: opinion for opinion in decide(known(), RULES).receipt["opinions"]}
    assert votes["quant"]["action"] is None
    assert "no champion" in votes["quant"]["reasoning"]
    assert votes["analyst"]["action"] is None


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"equity_peak": 2400.0}, "drawdown"),
        ({"day_opening_equity": 2200.0}, "daily loss"),
        ({"available_quote": 0.0}, "balance"),
        ({"equity": float("nan")}, "numbers"),
    ],
)
def test_risk_has_the_last_word_and_its_reason_is_the_outcome(changes: dict[str, float], rule: str) -> None:
    decided = decide(with_equity(known(), **changes), RULES)
    assert decided.intent is None
    assert rule in decided.receipt["outcome"]


def test_an_old_candle_is_refused_by_name() -> None:
    late = replace(known(), decided_at=known().decided_at + timedelta(hours=3))
    decided = decide(late, RULES)
    assert decided.intent is None
    assert "candle age" in decided.receipt["outcome"]


def test_stale_news_that_nobody_used_does_not_block_an_order() -> None:
    old = PairSentiment(0.5, 0.7, 3, known().decided_at - timedelta(days=200), "lexicon")
    decided = decide(replace(known(), sentiment=old), RULES)
    assert decided.intent is not None
    assert (
        "200" in decided.receipt["opinions"][2]["reasoning"]
        or "months" in decided.receipt["opinions"][2]["reasoning"]
    )


def test_a_position_that_agrees_with_the_consensus_is_kept() -> None:
    before = known(RISING)
    held = replace(before, position=position(before, "0.001", "1", "9999999"))
    assert decide(held, RULES).intent is None
    assert "already LONG" in decide(held, RULES).receipt["outcome"]


def test_a_consensus_against_the_position_closes_all_of_it_and_nothing_more() -> None:
    before = known(FALLING)
    held = replace(before, position=position(before, "0.001", "1", "9999999"))
    intent = decide(held, RULES).intent
    assert intent is not None
    assert (intent.side, intent.quantity, intent.reduces) == (Side.SELL, Decimal("0.001"), True)
    assert (intent.stop_loss, intent.take_profit) == (None, None)


def test_a_touched_stop_closes_before_any_vote_even_in_a_rise() -> None:
    before = known(RISING)
    held = replace(before, position=position(before, "0.001", "61000", "9999999"))
    decided = decide(held, RULES)
    assert decided.intent is not None
    assert decided.intent.reduces
    assert "stop-loss" in decided.receipt["outcome"]


def test_when_one_candle_touches_stop_and_target_the_stop_is_believed() -> None:
    before = known(RISING)
    low, high = before.candles["low"][-1], before.candles["high"][-1]
    assert "stop-loss" in hit_protection(position(before, "1", str(high), str(low)), before.candles)


def test_a_short_position_is_stopped_by_a_high_not_by_a_low() -> None:
    before = known(RISING)
    high = before.candles.tail(3)["high"].max()
    assert isinstance(high, float)
    assert "stop-loss" in hit_protection(position(before, "-1", str(high - 1), "1"), before.candles)
    assert hit_protection(position(before, "-1", str(high + 1), "1"), before.candles) == ""


def test_candles_before_the_position_opened_cannot_stop_it() -> None:
    before = known(RISING)
    low_since = before.candles.tail(3)["low"].min()
    assert isinstance(low_since, float)
    assert hit_protection(position(before, "1", str(low_since - 1), "9999999"), before.candles) == ""


def test_a_remainder_too_small_to_trade_does_not_block_the_pair() -> None:
    before = known(RISING)
    dust = replace(before, position=position(before, "0.00005", "1", "9999999"))
    intent = decide(dust, RULES).intent
    assert intent is not None
    assert not intent.reduces
