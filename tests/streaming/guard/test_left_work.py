"""What the executor has left is tried again soon, and ever later while the same problems stand."""

import asyncio
from typing import Any

import pytest

from streaming.guard.left_work import LeftWork
from trading.execution import Execution

pytestmark = pytest.mark.anyio
DUST, MISSING = "0.0005 BTC/USDT is dust", "1 ETH/USDT has no stop"


class Pauses:
    """The seconds after which it asks again; nothing waits for them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.asked: list[asyncio.TimerHandle] = []
        self.left = LeftWork(lambda: None)
        loop, call_later = asyncio.get_running_loop(), asyncio.get_running_loop().call_later

        def note(delay: float, callback: Any) -> asyncio.TimerHandle:
            self.asked.append(call_later(delay, callback))
            self.seconds = delay
            return self.asked[-1]

        patch.setattr(loop, "call_later", note)

    def after(self, *problems: str, **changes: bool) -> float:
        """The pause after this execution; 0 for none."""
        self.seconds = 0.0
        self.left.note(Execution(problems=problems, **changes))
        return self.seconds

    @property
    def waiting(self) -> int:
        return sum(not each.cancelled() for each in self.asked)


async def test_the_same_problems_double_the_pause_up_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(monkeypatch)
    assert [pauses.after(DUST) for _ in range(7)] == [2, 4, 8, 16, 32, 60, 60]
    assert pauses.after(DUST, MISSING) == 2
    assert pauses.after() == 0
    assert pauses.after(DUST) == 2


async def test_a_number_in_its_words_makes_no_other_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(monkeypatch)
    spent = "Kraken's budget is spent: {} s until this call"
    assert [pauses.after(spent.format(seconds)) for seconds in ("12.3", "7", "61.25")] == [2, 4, 8]


async def test_what_had_no_turn_or_another_one_sends_is_asked_for_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = Pauses(monkeypatch)
    assert [pauses.after(DUST) for _ in range(3)] == [2, 4, 8]
    assert pauses.after(DUST, is_unfinished=True) == 2
    assert pauses.after(sent_by_another=True) == 2
    assert pauses.after(DUST) == 16


async def test_one_ask_waits_however_often_orders_were_carried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(monkeypatch)
    for _ in range(3):
        pauses.after(DUST)
    assert pauses.waiting == 1
    pauses.after()
    assert pauses.waiting == 0
