"""A shadow decision is recorded, explained and replayed, and nothing of the account changes."""

import copy
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ml.decision.clock import ClockReading, chosen_time
from ml.decision.explanation import explain
from ml.decision.replay import Verdict
from ml.decision.shadow import challenge, shadow_account, shadow_decision
from ml.learning.bundle import write_bundle
from tests.ml.decision.decision_world import ACCOUNT, record_fill, record_intent
from tests.ml.decision.replay_world import MONTH, ReplayWorld, random_policy
from tests.ml.decision.trading_day import PAIR, RULES
from trading.errors import NotStored
from trading.orders import Side
from trading.risk import Halt, HaltKind

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    """An account with a position, an entry that waits, and a halt that its losses would begin."""
    made = ReplayWorld(tmp_path)
    opened = made.newest - 4 * HOUR
    made.reader.account.ensure_open(opened)
    record_fill(
        made.journal, "held", PAIR, Side.BUY, quantity="0.001", price="60000", at=opened, stop="1", target="2"
    )  # fmt: skip
    record_intent(made.journal, "waiting", PAIR, Side.BUY, quantity="0.001", at=opened)
    made.journal.raise_peak(ACCOUNT.name, made.reader.account.snapshot(made.newest)["equity"] * 2)
    return made


def shadow(world: ReplayWorld, clock: ClockReading, challenger: str = "") -> dict[str, Any]:
    done = shadow_decision(PAIR, clock, world.reader, RULES, world.journal, challenger)
    stored: dict[str, Any] = json.loads(json.dumps(done.receipt))
    return stored


def everything_but_decisions(world: ReplayWorld) -> dict[str, Any]:
    state = vars(copy.deepcopy(world.journal._state))
    return {name: each for name, each in state.items() if name not in ("decisions", "inputs")}


@pytest.mark.parametrize("hours", [0, 1, 30])
def test_a_decision_over_the_past_changes_nothing_of_the_account(world: ReplayWorld, hours: int) -> None:
    before = everything_but_decisions(world)
    receipt = shadow(world, chosen_time(world.newest - hours * HOUR))
    assert everything_but_decisions(world) == before
    assert receipt["shadow"] is True
    assert world.journal.decision(receipt["decision_id"]) == receipt
    assert world.journal.intent(receipt["decision_id"]) is None


def test_at_the_newest_candle_the_account_is_as_it_is_and_still_nothing_changes(world: ReplayWorld) -> None:
    before = everything_but_decisions(world)
    receipt = shadow(world, ClockReading(world.newest, "the venue"), world.champion)
    assert everything_but_decisions(world) == before
    assert receipt["inputs"]["position"]["quantity"] == "0.001"
    assert receipt["action"] == "CLOSE"
    assert receipt["intent"]


def test_over_the_past_the_account_is_flat_with_its_balances_of_then(world: ReplayWorld) -> None:
    later = shadow(world, chosen_time(world.newest))
    assert (later["inputs"]["position"], later["inputs"]["orders"]) == (None, [])
    assert later["inputs"]["free"] == {
        asset: str(each) for asset, each in world.journal.balances(ACCOUNT.name).items()
    }
    before_it_opened = shadow(world, chosen_time(world.newest - 30 * HOUR))
    assert before_it_opened["inputs"]["free"]["USDT"] == "1000"


def test_it_stands_beside_the_accounts_own_decisions_and_keeps_none_of_them_away(world: ReplayWorld) -> None:
    clock = chosen_time(world.newest)
    receipt = shadow(world, clock)
    assert receipt["decision_id"] not in {
        each["decision_id"] for each in world.journal.decisions(ACCOUNT.name)
    }
    assert [each["decision_id"] for each in world.journal.decisions(shadow_account(ACCOUNT.name, ""))] == [
        receipt["decision_id"]
    ]
    own = world.execute()
    assert not own.repeated
    assert own.receipt["account"] == ACCOUNT.name
    assert own.receipt["decision_id"] != receipt["decision_id"]


def test_the_past_can_be_decided_on_in_shadow_after_the_account_has_decided_later(world: ReplayWorld) -> None:
    world.execute()
    assert shadow(world, chosen_time(world.newest - 10 * HOUR))["shadow"]


def test_the_same_candle_again_is_the_same_decision(world: ReplayWorld) -> None:
    clock = chosen_time(world.newest)
    first, second = (shadow_decision(PAIR, clock, world.reader, RULES, world.journal) for _ in range(2))
    assert (first.repeated, second.repeated) == (False, True)
    assert first.receipt == second.receipt


def test_a_challenger_votes_in_the_champions_place_and_beside_it(world: ReplayWorld) -> None:
    clock = chosen_time(world.newest)
    promoted = world.champion
    other = world.promote(seed=1)
    world.promotions.record(PAIR, promoted, True, {}, at=world.newest)
    receipts = {policy: shadow(world, clock, policy) for policy in ("", other)}
    models = {
        policy: next(each["model"] for each in receipt["opinions"] if each["agent"] == "quant")
        for policy, receipt in receipts.items()
    }
    assert models == {"": promoted, other: other}
    assert receipts[""]["decision_id"] != receipts[other]["decision_id"]


def test_shadow_decisions_are_replayed_to_the_byte(world: ReplayWorld) -> None:
    other = world.promote(seed=1)
    world.promotions.record(PAIR, world.champion, True, {}, at=world.newest)
    for challenger in ("", other):
        assert world.replay(shadow(world, chosen_time(world.newest), challenger)).verdict is Verdict.IDENTICAL


def test_an_unknown_challenger_is_refused(world: ReplayWorld) -> None:
    with pytest.raises(NotStored, match="no bundle of policy"):
        shadow(world, chosen_time(world.newest), "0123456789abcdef")


def test_the_explanation_says_that_nothing_was_ordered(world: ReplayWorld) -> None:
    text = explain(shadow(world, chosen_time(world.newest)), None)
    assert "in shadow mode: nothing was ordered" in text


def test_a_halt_of_now_stops_a_challenger_as_it_stops_the_champion(world: ReplayWorld) -> None:
    world.journal.begin_halts(
        ACCOUNT.name, [Halt(HaltKind.KILL_SWITCH, world.newest - HOUR, None, "pulled by ada")]
    )
    receipt = shadow(world, ClockReading(world.newest, "the venue"), world.champion)
    assert [each["kind"] for each in receipt["inputs"]["account"]["halts"]] == ["kill switch"]


@pytest.fixture
def trading(tmp_path: Path) -> ReplayWorld:
    """A flat account in a rising market, whose champion is the newest policy."""
    made = ReplayWorld(tmp_path)
    made.reader.account.ensure_open(made.newest - 9 * HOUR)
    return made


def executed(trading: ReplayWorld) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(json.dumps(trading.execute().receipt))
    return stored


def with_challenger(trading: ReplayWorld) -> str:
    """The newest month's policy is another one than the champion."""
    promoted, other = trading.champion, trading.promote(seed=1)
    trading.promotions.record(PAIR, promoted, True, {}, at=trading.newest - HOUR)
    return other


def test_the_newest_policy_decides_on_the_recorded_inputs_beside_the_champion(trading: ReplayWorld) -> None:
    other = with_challenger(trading)
    own = executed(trading)
    before = everything_but_decisions(trading)
    receipt = challenge(own, trading.policies, trading.journal)
    assert receipt is not None
    assert everything_but_decisions(trading) == before
    assert (receipt["shadow"], receipt["challenger"], receipt["inputs"]["policy_id"]) == (True, other, other)
    assert own["inputs"]["policy_id"] == trading.champion
    same = ("features_sha256", "candles", "position", "free", "news")
    assert {name: receipt["inputs"][name] for name in same} == {name: own["inputs"][name] for name in same}
    assert trading.journal.intent(receipt["decision_id"]) is None


def test_a_challengers_decision_is_recorded_once_and_replayed_to_the_byte(trading: ReplayWorld) -> None:
    other = with_challenger(trading)
    own = executed(trading)
    first, second = (challenge(own, trading.policies, trading.journal) for _ in range(2))
    assert first == second
    [stored] = trading.journal.decisions(shadow_account(ACCOUNT.name, other))
    assert trading.replay(stored).verdict is Verdict.IDENTICAL


def test_a_champion_that_is_the_newest_policy_has_no_challenger(trading: ReplayWorld) -> None:
    assert challenge(executed(trading), trading.policies, trading.journal) is None


def test_a_policy_that_learned_from_later_candles_is_no_challenger(trading: ReplayWorld) -> None:
    manifest, layers = random_policy(1)
    for end, decides in ((trading.newest, True), (trading.newest + HOUR, False)):
        write_bundle(trading.policies.folder(PAIR, MONTH), replace(manifest, training_end=end), layers)
        assert (challenge(executed(trading), trading.policies, trading.journal) is not None) is decides


def test_what_was_closed_without_a_vote_has_no_challenger(trading: ReplayWorld) -> None:
    with_challenger(trading)
    own = executed(trading) | {"scope": "exit"}
    assert challenge(own, trading.policies, trading.journal) is None
