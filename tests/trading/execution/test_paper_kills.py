"""On paper: killed at any step boundary, the next process comes to the very same fills, down to their ids."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.contracts.paper_account import ACCOUNT, COIN, QUIET, RULES, PaperAccount, Row, hour
from tests.doubles.clock import Clock
from tests.doubles.stores import MemoryJournal
from tests.trading.execution.execution_case import Alive, Killed
from tests.trading.execution.test_kills import KillAt
from trading.execution import OrderExecutor
from trading.orders import Fill, OrderKind, Side

# An entry in two parts, whose stop trails; then down through the stop, or up to the target and out by a decision.
RISING: list[Row] = [QUIET, (100.5, 101, 100, 101), (101, 105, 100.5, 104), (104, 106, 103.7, 105)]
PATHS: dict[str, list[Row]] = {
    "stopped": [*RISING, (105, 105, 101, 102), QUIET],
    "at the target": [*RISING, (105, 112, 104.5, 111), (111, 111, 111, 111), QUIET],
}
VOLUMES = [15.0] + [1000.0] * 6


@dataclass
class Life:
    """Processes that carry out the orders of one account, the first of which is killed."""

    account: PaperAccount
    machine: Clock
    kill: KillAt

    def carry_out(self) -> None:
        if not self.kill.killed.is_set():
            with suppress(Killed):
                self._process("first").carry_out(ACCOUNT, self.account.clock)
        if self.kill.killed.is_set():
            self._process("second").carry_out(ACCOUNT, self.account.clock)

    def _process(self, holder: str) -> OrderExecutor:
        journal, venue, checkpoint = self.account.journal, self.account.venue(), lambda name: None
        if holder == "first":
            journal, venue = Alive(journal, self.kill.killed), Alive(venue, self.kill.killed)  # type: ignore[assignment]
            checkpoint = self.kill
        return OrderExecutor(
            journal, venue, self.account.candles, RULES, holder=holder, checkpoint=checkpoint,
            monotonic=self.machine, sleep=self.machine.sleep,
        )  # fmt: skip

    def decide_exit(self) -> bool:
        """As a decision does that finds a reason to close; False where there is none, or an exit is under way."""
        position = self.account.journal.position(ACCOUNT, COIN)
        leaving = (each.intent.kind for each in self.account.journal.working_orders(ACCOUNT))
        if position is None or not position.exit_reason or OrderKind.EXIT in leaving:
            return False
        self.account.decide(Side.SELL, f"{position.quantity:f}", reduces=True)
        return True


def live(rows: list[Row], number: int) -> tuple[list[Fill], list[str]]:
    """The fills of a whole life with a kill at that boundary (0: none), and the boundaries until then."""
    machine = Clock()
    journal = MemoryJournal(lambda: hour(0) + timedelta(seconds=machine.now))
    account = PaperAccount(rows, VOLUMES[: len(rows)], participation=0.1, journal=journal)
    life = Life(account, machine, KillAt(number))
    account.clock = hour(1)
    account.decide(
        quantity="2", stop_loss=Decimal(98), take_profit=Decimal(110), entry_price=Decimal(100),
        trailing_after=Decimal(103), trailing_distance=Decimal(2),
    )  # fmt: skip
    for step in range(1, len(rows)):
        account.clock = hour(step)
        life.carry_out()
        if life.decide_exit():
            life.carry_out()
    assert journal.positions(ACCOUNT) == []
    return journal.fills(ACCOUNT), life.kill.names


@pytest.mark.parametrize("path", PATHS)
def test_a_kill_at_any_step_changes_no_fill(path: str) -> None:
    whole, names = live(PATHS[path], 0)
    assert {"sent", "submitted", "adopted", "amend recorded", "amended"} <= set(names)
    assert [each.quantity for each in whole][:2] == [Decimal("1.5"), Decimal("0.5")]
    for number, name in enumerate(names, start=1):
        fills, _ = live(PATHS[path], number)
        assert fills == whole, name
