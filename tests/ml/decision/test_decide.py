import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.decision.decide import decide, protective_exit
from ml.decision.decision_id import decision_id
from ml.decision.explanation import explain
from ml.decision.inputs import DecisionInputs, OldestPrice
from ml.decision.plain_json import canonical_bytes
from ml.decision.recording import record_tables
from ml.sentiment.pair import PairSentiment
from tests.ml.decision.trading_day import (
    FALLING,
    LIMITS,
    PAIR,
    RISING,
    RULES,
    START,
    WINDOW,
    at_time,
    decision_inputs,
    with_account_state,
)
from trading.market import Pair, Timeframe, Universe
from trading.orders import Side
from trading.portfolio import Position
from trading.risk import Halt, HaltKind


def with_position(
    before: DecisionInputs, quantity: str, stop: str, target: str, price: str = "50000", hit: str = ""
) -> DecisionInputs:
    """With a position that opened three candles ago; `hit` says which of its levels was touched."""
    opened = before.candles["open_time"][-3]
    position = Position(
        before.account,
        PAIR,
        Decimal(quantity),
        Decimal(price),
        Decimal(stop),
        Decimal(target),
        opened,
        exit_reason=hit,
    )
    return replace(before, position=position)


HIT = "stop-loss 61000 was touched (at 60990)"


def test_a_clean_rise_becomes_a_buy_within_every_limit() -> None:
    before = decision_inputs(RISING)
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
    before = decision_inputs(FALLING)
    intent = decide(before, RULES).intent
    assert intent is not None
    assert intent.side is Side.SELL
    assert intent.quantity <= Decimal("0.02")
    assert intent.stop_loss is not None
    assert intent.stop_loss > Decimal(before.close)


def test_the_same_inputs_give_the_same_receipt_to_the_byte() -> None:
    assert canonical_bytes(decide(decision_inputs(), RULES).receipt) == canonical_bytes(
        decide(decision_inputs(), RULES).receipt
    )


def test_the_receipt_is_json_and_names_every_input_vote_and_rule() -> None:
    receipt = json.loads(canonical_bytes(decide(decision_inputs(), RULES).receipt))
    assert {opinion["agent"] for opinion in receipt["opinions"]} == {"technical", "quant", "analyst"}
    assert receipt["inputs"]["candles"]["sha256"] == record_tables(decision_inputs()).candles.digest
    assert {"drawdown", "daily loss", "position cap", "stop-loss"} <= {
        verdict["rule"] for verdict in receipt["risk"]["verdicts"]
    }


def test_one_changed_digit_of_one_candle_changes_the_digest() -> None:
    before = decision_inputs()
    changed = before.candles.with_columns(
        pl.when(pl.col("open_time") == START)
        .then(pl.col("volume") + 1e-9)
        .otherwise(pl.col("volume"))
        .alias("volume")
    )
    after = replace(before, candles=changed)
    assert record_tables(before).candles.digest != record_tables(after).candles.digest


def test_the_id_depends_on_account_pair_and_candle_alone() -> None:
    before = decision_inputs()
    other = at_time(with_account_state(before, equity=5.0), before.decided_at + timedelta(minutes=3))
    assert decide(before, RULES).decision_id == decide(other, RULES).decision_id
    assert decision_id("another", PAIR, before.candle_close_time) != decide(before, RULES).decision_id


def test_quant_without_champion_and_analyst_without_news_abstain_with_a_reason() -> None:
    votes = {opinion["agent"]: opinion for opinion in decide(decision_inputs(), RULES).receipt["opinions"]}
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
    decided = decide(with_account_state(decision_inputs(), **changes), RULES)
    assert decided.intent is None
    assert rule in decided.receipt["outcome"]


def test_an_old_candle_is_refused_by_name() -> None:
    late = at_time(decision_inputs(), decision_inputs().decided_at + timedelta(hours=3))
    decided = decide(late, RULES)
    assert decided.intent is None
    assert "candle age" in decided.receipt["outcome"]


def test_stale_news_that_nobody_used_does_not_block_an_order() -> None:
    old = PairSentiment(0.5, 0.7, 3, decision_inputs().decided_at - timedelta(days=200), "lexicon")
    decided = decide(replace(decision_inputs(), sentiment=old), RULES)
    assert decided.intent is not None
    assert (
        "200" in decided.receipt["opinions"][2]["reasoning"]
        or "months" in decided.receipt["opinions"][2]["reasoning"]
    )


def test_a_position_that_agrees_with_the_consensus_stays_open() -> None:
    before = decision_inputs(RISING)
    inputs = with_position(before, "0.001", "1", "9999999")
    assert decide(inputs, RULES).intent is None
    assert "already LONG" in decide(inputs, RULES).receipt["outcome"]


def test_a_consensus_against_the_position_closes_all_of_it_and_nothing_more() -> None:
    before = decision_inputs(FALLING)
    inputs = with_position(before, "0.001", "1", "9999999")
    intent = decide(inputs, RULES).intent
    assert intent is not None
    assert (intent.side, intent.quantity, intent.reduces) == (Side.SELL, Decimal("0.001"), True)
    assert (intent.stop_loss, intent.take_profit) == (None, None)


def test_a_touched_stop_closes_before_any_vote_even_in_a_rise() -> None:
    before = decision_inputs(RISING)
    inputs = with_position(before, "0.001", "61000", "9999999", hit=HIT)
    decided = decide(inputs, RULES)
    assert decided.intent is not None
    assert decided.intent.reduces
    assert "stop-loss" in decided.receipt["outcome"]


def test_a_remainder_too_small_to_trade_does_not_block_the_pair() -> None:
    before = decision_inputs(RISING)
    dust = with_position(before, "0.00005", "1", "9999999")
    intent = decide(dust, RULES).intent
    assert intent is not None
    assert not intent.reduces


def test_a_policy_feature_that_is_not_known_makes_the_quant_abstain() -> None:
    class Champion:
        policy_id = "champion"
        feature_names = ("rsi_14", "btc_correlation")

        def act(self, features: object, exposure: float) -> None:
            raise AssertionError("must not be asked")

    before = decision_inputs()
    blind = replace(before, features={**before.features, "btc_correlation": None}, policy=Champion())  # type: ignore[arg-type]
    votes = {opinion["agent"]: opinion for opinion in decide(blind, RULES).receipt["opinions"]}
    assert votes["quant"]["action"] is None
    assert "btc_correlation" in votes["quant"]["reasoning"]


def test_a_reference_market_that_lags_is_refused_by_name_while_its_correlation_counts() -> None:
    before, reference = decision_inputs(), Pair("BTC", "EUR")
    compared = {**before.features, "btc_correlation": 0.9}
    late = replace(
        before,
        universe=Universe((PAIR, reference), "EUR", Timeframe.H1, "test"),
        features=compared,
        companions={reference: before.candles.head(-3)},
    )
    assert "feature age" in decide(late, RULES).receipt["outcome"]
    unknown = {**before.features, "btc_correlation": None}
    assert decide(replace(late, features=unknown), RULES).intent


def test_a_quiet_cross_rate_does_not_halt_trading() -> None:
    before = decision_inputs()
    assert decide(replace(before, companions={Pair("XRP", "BTC"): before.candles.head(-30)}), RULES).intent


def without_trades(hours: int) -> DecisionInputs:
    """Nothing is traded in the last hours, as a filled-up recording shows it; the signals stay what they are."""
    before = decision_inputs()
    dead = pl.int_range(pl.len()) >= before.candles.height - hours
    return replace(
        before,
        candles=before.candles.with_columns(volume=pl.when(dead).then(0.0).otherwise(pl.col("volume"))),
    )


def test_no_position_is_opened_in_a_market_in_which_nothing_was_traded_for_a_day() -> None:
    assert decide(without_trades(hours=24), RULES).intent
    refused = decide(without_trades(hours=25), RULES)
    assert refused.intent is None
    assert "trade age: nothing traded for 25.0 candles, at most 24" in refused.receipt["outcome"]
    assert decide(without_trades(hours=WINDOW), RULES).intent is None


def test_a_position_in_a_dead_market_can_be_closed() -> None:
    dead = with_position(without_trades(hours=100), "0.001", "61000", "9999999", hit=HIT)
    leaving = protective_exit(dead, RULES)
    assert leaving is not None
    assert leaving.intent is not None


def test_an_old_price_of_another_asset_of_the_account_is_refused_by_pair() -> None:
    before, other = decision_inputs(), Pair("XRP", "USDT")
    old = OldestPrice(other, before.decided_at - timedelta(hours=25))
    outcome = decide(replace(before, oldest_price=old), RULES).receipt["outcome"]
    assert "price age: 25.0 candles old, at most 24: XRP-USDT" in outcome
    fresh = OldestPrice(other, before.decided_at - timedelta(hours=24))
    assert decide(replace(before, oldest_price=fresh), RULES).intent


def test_a_hit_stop_needs_only_the_pair_and_a_position_too_small_to_trade_is_left_alone() -> None:
    inputs = with_position(decision_inputs(RISING), "0.001", "61000", "9999999", hit=HIT)
    bare = replace(inputs, features={}, state=replace(inputs.state, equity=float("nan")))
    leaving = protective_exit(bare, RULES)
    assert leaving is not None
    assert leaving.intent is not None
    assert (leaving.intent.side, leaving.intent.reduces) == (Side.SELL, True)
    assert leaving.decision_id == decide(inputs, RULES).decision_id
    dust = with_position(decision_inputs(RISING), "0.00005", "61000", "9999999", hit=HIT)
    assert protective_exit(dust, RULES) is None
    assert protective_exit(with_position(decision_inputs(RISING), "0.001", "1", "9999999"), RULES) is None
    assert protective_exit(decision_inputs(RISING), RULES) is None


def test_a_stored_candle_that_became_known_after_the_clock_says_that_the_clock_is_slow() -> None:
    before = decision_inputs()
    ahead = replace(before, newest_known_at=before.decided_at + timedelta(hours=5))
    refused = decide(ahead, RULES)
    assert refused.intent is None
    assert "clock skew: clocks are 18000.0 s apart, at most 2" in refused.receipt["outcome"]
    chosen = replace(ahead, clock=replace(ahead.clock, chosen=True))
    assert decide(chosen, RULES).intent  # a person chose a time of the past


@pytest.mark.parametrize("skew", [18_000.0, -18_000.0, 2.1, -2.1])
def test_a_machine_whose_clock_is_off_opens_nothing_and_the_skew_is_named(skew: float) -> None:
    before = decision_inputs()
    refused = decide(at_time(before, before.decided_at, skew), RULES)
    assert refused.intent is None
    assert f"clocks are {abs(skew):.1f} s apart" in refused.receipt["outcome"]
    assert refused.receipt["clock"] == {
        "at": before.decided_at.isoformat(), "source": "a test", "skew_seconds": skew, "chosen": False,
    }  # fmt: skip
    assert decide(at_time(before, before.decided_at, 2.0), RULES).intent


def test_a_venue_whose_clock_cannot_be_read_opens_nothing_and_closes_what_was_hit() -> None:
    before = decision_inputs()
    blind = at_time(before, before.decided_at, None)
    assert "clock skew: not known" in decide(blind, RULES).receipt["outcome"]
    leaving = protective_exit(with_position(blind, "0.001", "61000", "9999999", hit=HIT), RULES)
    assert leaving is not None
    assert leaving.intent is not None


def test_a_candle_is_as_old_as_the_clock_says() -> None:
    before = decision_inputs()
    assert decide(at_time(before, before.decided_at + timedelta(hours=2)), RULES).intent
    late = decide(at_time(before, before.decided_at + timedelta(hours=2, seconds=40)), RULES)
    assert late.intent is None
    assert "candle age: 2.0 candles old" in late.receipt["outcome"]


def test_an_entry_carries_the_price_it_counted_with_and_where_its_stop_begins_to_trail() -> None:
    inputs = decision_inputs(RISING)
    intent = decide(inputs, RULES).intent
    assert intent is not None
    assert intent.stop_loss is not None
    assert intent.trailing_after is not None
    assert intent.trailing_distance is not None
    assert intent.entry_price == Decimal(str(inputs.close))
    risked = intent.entry_price - intent.stop_loss
    assert intent.trailing_distance == pytest.approx(risked, abs=Decimal("0.2"))
    assert intent.trailing_after == pytest.approx(
        intent.entry_price + Decimal("1.5") * risked, abs=Decimal("0.5")
    )


def test_an_order_without_an_outcome_for_too_long_refuses_a_new_one_by_name() -> None:
    assert (
        "balance age"
        in decide(replace(decision_inputs(), oldest_unsettled_age=timedelta(hours=3)), RULES).receipt[
            "outcome"
        ]
    )


def test_a_halt_of_the_account_refuses_an_opening_and_not_a_close() -> None:
    before = decision_inputs(FALLING)
    halt = Halt(
        HaltKind.DRAWDOWN, before.decided_at, None, "equity 1800 is 14.00% below 2100, the equity peak"
    )
    halted = replace(before, state=replace(before.state, halts=(halt,)))
    decided = decide(halted, RULES)
    assert decided.intent is None
    assert "drawdown: halted since" in decided.receipt["outcome"]
    assert "until a person resumes" in explain(decided.receipt, None)
    close = decide(with_position(halted, "0.001", "1", "9999999"), RULES).intent
    assert close is not None
    assert close.reduces


INPUTS = {drift: decision_inputs(drift) for drift in (RISING, FALLING)}
FEATURES = sorted(name for name, value in INPUTS[RISING].features.items() if value is not None)
numbers = st.floats() | st.floats(-2, 2) | st.none()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    wrong=st.dictionaries(st.sampled_from(FEATURES), numbers, max_size=4),
    amounts=st.dictionaries(
        st.sampled_from(["equity", "equity_peak", "available_quote", "available_base", "exposure_value"]),
        st.floats() | st.floats(0, 5000),
        max_size=2,
    ),
    score=st.floats(-1, 1),
    drift=st.sampled_from([RISING, FALLING]),
)
def test_no_opinion_however_absurd_becomes_an_order_beyond_a_limit(
    wrong: dict[str, float | None], amounts: dict[str, float], score: float, drift: float
) -> None:
    before = INPUTS[drift]
    news = PairSentiment(score, 0.9, 5, before.decided_at - timedelta(hours=1), "lexicon")
    absurd = replace(
        with_account_state(before, **amounts), features={**before.features, **wrong}, sentiment=news
    )
    decided = decide(absurd, RULES)
    json.loads(canonical_bytes(decided.receipt))
    if decided.intent is not None:
        quantity, price, state = decided.intent.quantity, Decimal(repr(before.close)), absurd.state
        assert decided.intent.stop_loss is not None
        assert quantity * price <= Decimal("0.2") * Decimal(state.equity)
        assert quantity * abs(price - decided.intent.stop_loss) <= Decimal("0.01") * Decimal(state.equity)
        assert abs(price - decided.intent.stop_loss) <= Decimal("0.02") * price
