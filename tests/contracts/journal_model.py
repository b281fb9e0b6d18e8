"""Random histories of an account against a simple model of what is true.

The model knows sums alone: what was booked, how often each order was sent, what the positions come to.
"""

import datetime as dt
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.contracts.trade import NOON, SECOND, receipt
from trading.errors import InvalidValue, LeaseLost
from trading.market import Pair
from trading.orders import (
    AT_VENUE,
    FINAL,
    TRANSITIONS,
    Fill,
    Order,
    OrderIntent,
    OrderKind,
    OrderStatus,
    Side,
)
from trading.portfolio import cash_flows
from trading.ports import Adjustment, Journal, Lease
from trading.risk import Halt, HaltKind, Resume
from trading.stores.order_rules import begun

S = OrderStatus
PAIRS = [Pair("BTC", "USDT"), Pair("XRP", "BTC")]
ACCOUNTS = itertools.count()
OPENING = {"USDT": Decimal(500), "BTC": Decimal(5), "XRP": Decimal(5)}
QUANTITIES = st.integers(1, 4).map(Decimal)
PLACES = st.integers(0, 30)


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self, connect: Callable[[], Journal]) -> None:
        super().__init__()
        self.connect = connect
        self.writers = [connect(), connect()]
        self.account = f"model-{next(ACCOUNTS)}"
        self.now = NOON
        self.numbers = itertools.count()
        self.intents: list[OrderIntent] = []
        self.leases: list[Lease] = []
        self.sends: defaultdict[str, int] = defaultdict(int)
        self.fills: dict[str, Fill] = {}
        self.balances = dict(OPENING)
        self.positions: defaultdict[Pair, Decimal] = defaultdict(Decimal)
        self.loose: set[Pair] = set()  # facts have left more on its way than the position holds
        self.fell = False  # a fill has taken a balance below zero, or closed what was not there

    # --- the model

    @property
    def journal(self) -> Journal:
        return self.writers[0]

    def filled(self, intent: OrderIntent) -> Decimal:
        own = (fill.quantity for fill in self.fills.values() if fill.intent_id == intent.intent_id)
        return sum(own, Decimal(0))

    def state(self, intent: OrderIntent) -> Order:
        order = self.journal.order(intent.intent_id)
        assert order is not None
        return order

    def on_its_way(self, pair: Pair, but: OrderIntent | None = None) -> Decimal:
        closing = [each for each in self.intents if each.pair == pair and each.reduces and each != but]
        live = [each for each in closing if self.state(each).status in AT_VENUE]
        return sum((max(each.quantity - self.filled(each), Decimal(0)) for each in live), Decimal(0))

    def book(self, intent: OrderIntent, fill: Fill) -> None:
        held, change = self.positions[intent.pair], fill.side.sign * fill.quantity
        was_live = self.state(intent).status in AT_VENUE
        self.fills[fill.fill_id] = fill
        for asset, amount in cash_flows(fill).items():
            self.balances[asset] = self.balances.get(asset, Decimal(0)) + amount
            self.fell |= amount < 0 and self.balances[asset] < 0
        beyond = self.filled(intent) > intent.quantity
        if intent.reduces:
            can_close = -fill.side.sign * held
            closed = min(max(can_close, Decimal(0)), fill.quantity)
            self.positions[intent.pair] += fill.side.sign * closed
            beyond |= closed < fill.quantity
            if not was_live or beyond:
                self.loose.add(intent.pair)
        elif not intent.converts:
            self.positions[intent.pair] += change
            if held * change < 0:
                self.loose.add(intent.pair)
        self.fell |= beyond

    # --- what happens

    @initialize()
    def open(self) -> None:
        self.journal.open_account(self.account, OPENING, self.now)
        self.take_lease("a")

    @rule(
        data=st.data(),
        kind=st.sampled_from(["entry", "entry", "exit", "exit", "conversion", "stop", "adopted"]),
    )
    def ask_for_an_order(self, data: st.DataObject, kind: str) -> None:
        pair = data.draw(st.sampled_from(PAIRS))
        held = self.positions[pair]
        side = data.draw(st.sampled_from(Side)) if not held else (Side.SELL if held > 0 else Side.BUY)
        fitting = st.just(abs(held)) if held and kind not in ("entry", "conversion") else QUANTITIES
        number = next(self.numbers)
        intent = OrderIntent(
            intent_id=f"{self.account}-{number}",
            decision_id="" if kind in ("stop", "adopted") else f"{self.account}-decision-{number}",
            account=self.account,
            pair=pair,
            side=data.draw(st.sampled_from(Side)) if kind in ("entry", "conversion") else side,
            quantity=data.draw(fitting | QUANTITIES),
            reduces=kind in ("exit", "stop", "adopted"),
            stop_loss=Decimal(90) if kind == "entry" else None,
            take_profit=None,
            created_at=self.now,
            trigger=Decimal(90) if kind in ("stop", "adopted") else None,
            converts=kind == "conversion",
        )
        cancels = self.some_orders(data, 2) if intent.decision_id else []
        going = {each.intent_id for each in cancels if self.state(each).status is S.INTENDED}
        rivals = [each for each in self.rivals(intent) if each.intent_id not in going]
        try:
            self.commit(intent, [each.intent_id for each in cancels], adopted=kind == "adopted")
        except InvalidValue:
            assert rivals
            return
        assert not rivals
        self.intents.append(intent)
        if kind == "adopted":
            self.loose.add(pair)

    def commit(self, intent: OrderIntent, cancels: list[str], *, adopted: bool) -> None:
        if intent.decision_id:
            said = receipt(intent.decision_id, account=self.account, pair=intent.pair, decided_at=self.now)
            with self.journal.exclusive(self.account):
                assert self.journal.record_decision(said, intent, cancels)
                assert not self.journal.record_decision(said, intent, cancels)
        else:
            order = replace(begun(intent), status=S.ACKNOWLEDGED) if adopted else begun(intent)
            assert self.journal.add_order(intent, order, "protect")
            assert not self.journal.add_order(intent, order, "again")

    def some_orders(self, data: st.DataObject, most: int) -> list[OrderIntent]:
        places = data.draw(st.lists(PLACES, max_size=most, unique=True))
        return [self.intents[place] for place in places if place < len(self.intents)]

    @rule(data=st.data(), pair=st.sampled_from(PAIRS), side=st.sampled_from(Side), quantity=QUANTITIES)
    def buy_or_sell(self, data: st.DataObject, pair: Pair, side: Side, quantity: Decimal) -> None:
        """An entry as it should go: what a history of accidents seldom comes to."""
        if self.is_halted():
            self.resume()
        number = next(self.numbers)
        intent = OrderIntent(
            f"{self.account}-{number}", f"{self.account}-decision-{number}", self.account, pair, side, quantity,
            False, Decimal(90), None, self.now,
        )  # fmt: skip
        self.commit(intent, [], adopted=False)
        self.intents.append(intent)
        self.send(len(self.intents) - 1, -1)
        self.hear(data, len(self.intents) - 1, S.FILLED, older=False, again=False, parts=[quantity])

    @precondition(lambda self: any(self.positions.values()))
    @rule(data=st.data(), asked=st.booleans(), send=st.booleans())
    def close(self, data: st.DataObject, asked: bool, send: bool) -> None:
        """An exit or stop of a whole position, beside whatever is on its way already."""
        pair = data.draw(st.sampled_from([pair for pair in PAIRS if self.positions[pair]]))
        held, number = self.positions[pair], next(self.numbers)
        side = Side.SELL if held > 0 else Side.BUY
        trigger = None if asked else Decimal(90)
        intent = OrderIntent(
            f"{self.account}-{number}", "", self.account, pair, side, abs(held), True, None, None, self.now,
            trigger=trigger,
        )  # fmt: skip
        if self.rivals(intent):
            return
        self.commit(intent, [], adopted=False)
        self.intents.append(intent)
        if send:
            self.send(len(self.intents) - 1, -1)

    def rivals(self, intent: OrderIntent) -> list[OrderIntent]:
        """Exits that are live: there is never a second one."""
        exits = [each for each in self.intents if intent.kind is each.kind is OrderKind.EXIT]
        return [each for each in exits if each.pair == intent.pair and self.state(each).status not in FINAL]

    @precondition(lambda self: self.intents)
    @rule(place=PLACES, lease=st.sampled_from([-1, -1, -1, 0, -2]))
    def send(self, place: int, lease: int) -> None:
        intent = self.intents[place % len(self.intents)]
        used = self.leases[max(lease, -len(self.leases))]
        before, halted = self.state(intent), self.is_halted()
        held = -intent.side.sign * self.positions[intent.pair]
        wanted = self.on_its_way(intent.pair, intent) + intent.quantity - self.filled(intent)
        try:
            after = self.journal.mark_sent(
                intent.intent_id, used, self.now, self.now + SECOND, self.now + 60 * SECOND
            )
        except LeaseLost:
            assert used != self.leases[-1]
            return
        except InvalidValue:
            assert intent.reduces
            assert wanted > max(held, 0)
            return
        assert used == self.leases[-1]
        if before.status is not S.INTENDED:
            assert after == before
        elif halted and not intent.reduces:
            assert after.status is S.CANCELLED
        else:
            assert after.status is S.SENT
            assert not intent.reduces or wanted <= held
            self.sends[intent.intent_id] += 1
        self.pass_time()

    def is_halted(self) -> bool:
        return any(halt.binds(self.now) for halt in self.journal.halts(self.account))

    @precondition(lambda self: self.intents)
    @rule(data=st.data(), place=PLACES, status=st.sampled_from(S), older=st.booleans(), again=st.booleans())
    def hear(
        self,
        data: st.DataObject,
        place: int,
        status: S,
        older: bool,
        again: bool,
        parts: Sequence[Decimal] | None = None,
    ) -> None:
        """A report: late, doubled, of an older attempt, with fills that are new, known, or both."""
        intent = self.intents[place % len(self.intents)]
        before = self.state(intent)
        known = [fill for fill in self.fills.values() if fill.intent_id == intent.intent_id]
        count = data.draw(st.sampled_from([0, 0, 1, 1, 2])) if parts is None else 0
        new = [self.executed(intent, data) for _ in range(count)]
        new += [replace(self.executed(intent, data), quantity=part) for part in parts or []]
        for fill in new:
            self.book(intent, fill)
        said = replace(before, status=status, updated_at=self.now, attempt=max(before.attempt - older, 0))
        for _ in range(1 + again):
            after = self.journal.record_order(said, [*known[::-1], *new], "heard")
        if before.status in FINAL or (said.attempt != before.attempt and not new):
            assert after == replace(before, filled=self.filled(intent))
        self.pass_time()

    def executed(self, intent: OrderIntent, data: st.DataObject) -> Fill:
        left = intent.quantity - self.filled(intent)
        quantity = data.draw(st.just(left) | QUANTITIES if left > 0 else QUANTITIES)
        price = Decimal(data.draw(st.sampled_from([90, 100, 101])))
        fee = Decimal(data.draw(st.integers(0, 2)))
        return Fill(
            f"{self.account}-fill-{next(self.numbers)}", intent.intent_id, self.account, intent.pair, intent.side,
            price, quantity, fee, intent.pair.quote, self.now,
        )  # fmt: skip

    @precondition(lambda self: self.intents)
    @rule(place=PLACES)
    def cancel(self, place: int) -> None:
        intent = self.intents[place % len(self.intents)]
        before = self.state(intent)
        after = self.journal.request_cancel(intent.intent_id, "a turn", self.now)
        if before.status in FINAL:
            assert after == before
        else:
            assert after.cancel_reason
            assert (after.status is S.CANCELLED) == (before.status is S.INTENDED)
        self.pass_time()

    @rule(holder=st.sampled_from(["a", "b"]))
    def take_lease(self, holder: str) -> None:
        if self.leases and self.leases[-1].holder != holder:
            assert self.journal.acquire_lease(self.account, holder, 3600) is None
            self.journal.release_lease(self.leases[-1])
        lease = self.journal.acquire_lease(self.account, holder, 3600)
        assert lease is not None
        assert all(lease.fence > each.fence for each in self.leases)
        assert not any(self.journal.renew_lease(each, 3600) for each in self.leases)
        self.leases.append(lease)

    @rule(kind=st.sampled_from([HaltKind.KILL_SWITCH, HaltKind.DRAWDOWN]))
    def halt(self, kind: HaltKind) -> None:
        self.journal.begin_halts(self.account, [Halt(kind, self.now, None, "why")])
        assert self.is_halted()
        self.pass_time()

    @precondition(lambda self: self.is_halted())
    @rule()
    def resume(self) -> None:
        self.journal.resume(self.account, Resume(self.now, "ada", "looked"), Decimal(100))
        assert not self.is_halted()

    @rule(amount=st.integers(-3, 3).filter(bool).map(Decimal))
    def deposit(self, amount: Decimal) -> None:
        reference = f"deposit-{next(self.numbers)}"
        adjustment = Adjustment(self.account, reference, "USDT", amount, "deposit", self.now)
        assert [self.journal.record_adjustment(adjustment) for _ in range(2)] == [True, False]
        self.balances["USDT"] += amount

    @rule()
    def take_turns(self) -> None:
        """The next call comes from the other process."""
        self.writers.reverse()

    @rule()
    def restart(self) -> None:
        self.writers[0] = self.connect()

    @rule(data=st.data())
    def die_in_the_middle(self, data: st.DataObject) -> None:
        """What a block has done before it raises never was."""
        before = self.everything()

        def half_done() -> None:
            with self.journal.exclusive(self.account):
                for intent in self.some_orders(data, 3):
                    self.journal.request_cancel(intent.intent_id, "never", self.now)
                    fill = self.executed(intent, data)
                    self.journal.record_order(replace(self.state(intent), status=S.FILLED), [fill], "never")
                raise ZeroDivisionError

        try:
            half_done()
        except ZeroDivisionError:
            assert self.everything() == before
        else:
            raise AssertionError("the block did not raise")

    def everything(self) -> tuple[Any, ...]:
        journal, account = self.journal, self.account
        return (
            journal.balances(account), journal.positions(account), journal.fills(account), journal.halts(account),
            [(self.state(each), journal.order_changes(each.intent_id)) for each in self.intents],
        )  # fmt: skip

    def pass_time(self) -> None:
        self.now += dt.timedelta(seconds=1)

    # --- what must hold after each step

    @invariant()
    def balances_are_the_sum_of_facts(self) -> None:
        if self.leases:
            stored = self.journal.balances(self.account)
            assert stored == {asset: self.balances[asset] for asset in stored}
            assert {fill.fill_id for fill in self.journal.fills(self.account)} == set(self.fills)

    @invariant()
    def positions_never_turn_by_what_reduces(self) -> None:
        stored = {each.pair: each.quantity for each in self.journal.positions(self.account)}
        assert stored == {pair: quantity for pair, quantity in self.positions.items() if quantity}

    @invariant()
    def one_live_exit_of_a_pair(self) -> None:
        live = [
            each.intent.pair
            for each in self.journal.working_orders(self.account)
            if each.intent.kind is OrderKind.EXIT
        ]
        assert len(live) == len(set(live))

    @invariant()
    def what_closes_is_never_more_than_the_position(self) -> None:
        for pair in PAIRS:
            fits = self.on_its_way(pair) <= abs(self.positions[pair])
            assert fits or pair in self.loose
            if fits:
                self.loose.discard(pair)

    @invariant()
    def orders_tell_their_history(self) -> None:
        for intent in self.intents:
            order, changes = self.state(intent), self.journal.order_changes(intent.intent_id)
            assert (order.filled, order.attempt) == (self.filled(intent), self.sends[intent.intent_id])
            assert (changes[-1].status, changes[-1].attempt) == (order.status, order.attempt)
            states = [change.status for change in changes]
            pairs = itertools.pairwise(states)
            assert all(now is before or now in TRANSITIONS[before] for before, now in pairs)
            assert order.status is not S.INTENDED or not order.filled
            assert order.status is not S.FILLED or order.filled >= intent.quantity

    @invariant()
    def surprises_have_halted_the_account(self) -> None:
        kinds = {halt.kind for halt in self.journal.halts(self.account)} if self.leases else set()
        assert (HaltKind.RECONCILIATION in kinds) == self.fell
