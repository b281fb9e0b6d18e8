"""Exits and protective stops have a share of the rate budget that entries and look-ups leave alone."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.doubles.clock import Clock
from tests.doubles.kraken import CREDENTIALS, KrakenDouble, running, saying
from tests.doubles.stores import MemoryKeyState
from tests.doubles.threads import at_once
from trading.errors import RateLimited, StoreUnreachable
from trading.market import Pair
from trading.orders import Purpose, Side
from trading.stores.postgres import PostgresKeyState
from trading.venues.kraken import KrakenClient, Tier
from trading.venues.kraken.key_budget import KeyBudget
from trading.venues.kraken.order_request import KrakenOrderType, OrderRequest
from trading.venues.kraken.rate_limits import HEADROOM, RESERVE, Allowance, RateLimit

BTC = Pair("BTC", "USDT")
STARTER = Tier.STARTER.allowance
PAIR = "XBTUSDT"


def budget(clock: Clock, patience: float = 0.0, allowance: Allowance = STARTER) -> KeyBudget:
    return KeyBudget(MemoryKeyState(clock), "key", allowance, patience, clock.sleep)


def spend_all(spender: KeyBudget, pair: str, purpose: Purpose) -> int:
    """Spend at once whatever this purpose may; return how many calls of cost 1 went out."""
    return repeat_until_limited(lambda: spender.spend(pair, 1.0, purpose))


def repeat_until_limited(work: Callable[[], object]) -> int:
    """Do it until our own budget refuses; return how often it was done."""
    done = 0
    while True:
        try:
            work()
        except RateLimited:
            return done
        done += 1


@pytest.mark.parametrize("pair", ["", PAIR])
@pytest.mark.parametrize("urgent", [Purpose.EXIT, Purpose.PROTECTION])
@pytest.mark.parametrize("tier", list(Tier))
def test_entries_and_look_ups_leave_a_third_to_exits_and_protection(
    pair: str, urgent: Purpose, tier: Tier
) -> None:
    limit = tier.allowance.orders if pair else tier.allowance.calls
    spender = budget(Clock(1000.0), allowance=tier.allowance)
    sent = spend_all(spender, pair, Purpose.ENTRY)
    assert (sent, spend_all(spender, pair, Purpose.LOOK_UP)) == (
        int(limit.maximum - HEADROOM - RESERVE * limit.maximum), 0,
    )  # fmt: skip
    assert sent + spend_all(spender, pair, urgent) == limit.maximum - HEADROOM


def test_while_a_look_up_waits_for_its_turn_an_exit_gets_through() -> None:
    clock, exits = Clock(1000.0), list[int]()
    state = MemoryKeyState(clock)
    other = KeyBudget(state, "key", STARTER, patience=0.0)

    def sleep(seconds: float) -> None:
        if not exits:
            exits.append(other.spend("", 1.0, Purpose.EXIT))
        clock.sleep(seconds)

    looker = KeyBudget(state, "key", STARTER, patience=100.0, sleep=sleep)
    spend_all(other, "", Purpose.LOOK_UP)
    looker.spend("", 1.0, Purpose.LOOK_UP)
    assert exits


def test_a_wait_longer_than_the_patience_is_an_error_with_its_length_and_spends_nothing() -> None:
    clock = Clock(1000.0)
    state = MemoryKeyState(clock)
    spend_all(KeyBudget(state, "key", STARTER, 0.0), "", Purpose.EXIT)
    spender = KeyBudget(state, "key", STARTER, 5.0, clock.sleep)
    before = spender.levels(())
    with pytest.raises(
        RateLimited, match=r"private calls is spent: 21\.\d s until this call \(cost 2, look-up\)"
    ):
        spender.spend("", 2.0, Purpose.LOOK_UP)
    assert (spender.levels(()), clock.slept) == (before, [])


def test_calls_are_sent_at_once_until_the_budget_is_spent_and_then_as_it_recovers() -> None:
    clock = Clock(1000.0)
    spender = budget(clock, patience=100.0)
    for _ in range(9):
        spender.spend("", 1.0, Purpose.LOOK_UP)
    assert clock.slept == []
    spender.spend("", 1.0, Purpose.LOOK_UP)
    assert sum(clock.slept) == pytest.approx(1 / 0.33, rel=1e-3)


def test_every_pair_has_its_own_counter() -> None:
    spender = budget(Clock(1000.0))
    spend_all(spender, PAIR, Purpose.EXIT)
    spender.spend("XRPXBT", 8.0, Purpose.ENTRY)
    assert [level for level, _ in spender.levels((PAIR, "XRPXBT")).values()] == [0.0, 59.0, 8.0]


def test_a_call_that_costs_nothing_waits_for_nothing() -> None:
    spender = budget(Clock(1000.0))
    spend_all(spender, PAIR, Purpose.EXIT)
    assert spender.spend(PAIR, 0.0, Purpose.ENTRY) > 0


# --- through the client


class Rig:
    def __init__(self, double: KrakenDouble, folder: Path) -> None:
        self.double, self.clock = double, Clock(1_800_000_000.0)
        self.client = KrakenClient(
            folder, CREDENTIALS, double.url, STARTER, RateLimit(1000, 100), patience=0.0,
            sleep=self.clock.sleep, keys=MemoryKeyState(self.clock),
        )  # fmt: skip

    def order(self, purpose: Purpose) -> list[str]:
        request = OrderRequest(BTC, Side.SELL, Decimal("0.0001"), purpose=purpose)
        return self.client.add_order(request).txid


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(KrakenDouble()) as double:
        rig = Rig(double, tmp_path)
        with rig.client:
            yield rig


def test_after_entries_and_look_ups_spent_all_they_may_eight_exits_are_sent_at_once(rig: Rig) -> None:
    for work in (lambda: rig.order(Purpose.ENTRY), rig.client.balance):
        repeat_until_limited(work)
    assert all(rig.order(Purpose.EXIT) for _ in range(8))
    assert rig.clock.slept == []


def test_eight_threads_with_an_exit_each_are_all_sent_whatever_nonce_arrives_first(
    tmp_path: Path, dsn: str
) -> None:
    with running(KrakenDouble()) as double:
        clients = [
            KrakenClient(tmp_path / str(home), CREDENTIALS, double.url, STARTER, keys=PostgresKeyState(dsn))
            for home in range(8)  # as many machines
        ]
        exit_order = OrderRequest(BTC, Side.SELL, Decimal("0.0001"), purpose=Purpose.EXIT)
        taken = at_once(lambda client: client.add_order(exit_order).txid, clients)
        for client in clients:
            client.close()
        assert len({order for (order,) in taken}) == len(double.orders) == 8


def test_a_protective_stop_can_be_cancelled_after_entries_spent_all_they_may(rig: Rig) -> None:
    resting = OrderRequest(
        BTC,
        Side.SELL,
        Decimal("0.0001"),
        KrakenOrderType.STOP_LOSS,
        Decimal(9000),
        purpose=Purpose.PROTECTION,
    )
    (stop,) = rig.client.add_order(resting).txid
    repeat_until_limited(lambda: rig.order(Purpose.ENTRY))
    with pytest.raises(RateLimited, match="is spent"):
        rig.client.cancel_order(BTC, stop)
    assert rig.client.cancel_order(BTC, stop, purpose=Purpose.PROTECTION).count == 1
    assert rig.clock.slept == []


def test_the_orders_of_an_exit_can_be_asked_for_after_look_ups_spent_all_they_may(rig: Rig) -> None:
    (order,) = rig.order(Purpose.EXIT)
    repeat_until_limited(rig.client.balance)
    assert list(rig.client.query_orders([order], purpose=Purpose.EXIT)) == [order]


def test_a_refusal_of_the_venue_exhausts_the_budget_of_everybody_with_the_key(rig: Rig) -> None:
    rig.double.faults["AddOrder"] = [saying("EOrder:Rate limit exceeded")]
    with pytest.raises(RateLimited, match="EOrder"):
        rig.order(Purpose.EXIT)
    with pytest.raises(RateLimited, match="budget for orders of XBTUSDT is spent"):
        rig.order(Purpose.EXIT)
    assert rig.double.methods().count("AddOrder") == 1


def test_without_the_database_nothing_is_sent(tmp_path: Path) -> None:
    absent = PostgresKeyState("postgresql://nobody@127.0.0.1:1/none")
    with (
        running(KrakenDouble()) as double,
        KrakenClient(tmp_path, CREDENTIALS, double.url, keys=absent) as client,
    ):
        with pytest.raises(StoreUnreachable):
            client.add_order(OrderRequest(BTC, Side.SELL, Decimal("0.0001"), purpose=Purpose.EXIT))
        with pytest.raises(StoreUnreachable):
            client.balance()
        assert {"AddOrder", "Balance"}.isdisjoint(double.methods())
