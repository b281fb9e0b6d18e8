"""The dead man's switch is armed only over what must not outlive us, and never over a stop."""

from decimal import Decimal

from streaming.guard.switch import Switch, SwitchState
from tests.streaming.guard.guard_case import position, view, working
from trading.orders import OrderStatus
from trading.ports import AccountView

EMPTY = view()
RESTING = view(working=(working("conversion"),))
ILL = ["BTC/USDT: feed"]


def told(
    switch: Switch, now: float, *, over: AccountView = RESTING, problems: tuple[str, ...] = ()
) -> int | None:
    """What the venue is told at that time, and takes."""
    seconds = switch.due(over, list(problems), now)
    if seconds is not None:
        switch.told(seconds, now)
    return seconds


def test_a_start_turns_off_what_a_process_before_may_have_armed() -> None:
    switch = Switch(60)
    assert told(switch, 0, over=EMPTY) == 0
    assert switch.state is SwitchState.OFF
    assert told(switch, 1, over=EMPTY) is None


def test_it_is_armed_over_an_order_that_must_not_outlive_us_and_refreshed_thrice_in_its_time() -> None:
    switch = Switch(60)
    said = [second for second in range(100) if told(switch, float(second)) == 60]
    assert said == [0, 20, 40, 60, 80]
    assert switch.state is SwitchState.ARMED
    assert told(switch, 100, over=EMPTY) == 0


def test_it_is_not_refreshed_while_an_input_is_not_well_and_says_why() -> None:
    switch = Switch(60)
    told(switch, 0)
    assert told(switch, 25, problems=tuple(ILL)) is None
    assert (switch.state, list(switch.problems)) == (SwitchState.NOT_REFRESHED, ILL)
    assert told(switch, 59, problems=tuple(ILL)) is None
    assert told(switch, 59.5) == 60  # all is well again
    assert (switch.state, list(switch.problems)) == (SwitchState.ARMED, [])


def test_it_is_armed_once_also_where_an_input_is_not_well_so_that_the_order_ends() -> None:
    switch = Switch(60)
    assert told(switch, 0, problems=tuple(ILL)) == 60
    assert told(switch, 30, problems=tuple(ILL)) is None


def test_it_is_never_armed_over_a_stop_or_what_may_place_one() -> None:
    takes_a_stop = working("entry", stop_loss=Decimal(98))
    waits = working("entry", status=OrderStatus.INTENDED, stop_loss=Decimal(98))
    for protected in (
        view(position(), working=(working("stop"), working("conversion"))),
        view(position(), working=(working("conversion"),)),  # its stop is missing just now, and placed soon
        view(working=(working("stop", status=OrderStatus.INTENDED), working("conversion"))),
        view(working=(takes_a_stop,)),
        view(working=(waits, working("conversion"))),
    ):
        switch = Switch(60)
        assert told(switch, 0, over=protected) == 0
        told(switch, 1)
        assert switch.state is SwitchState.ARMED
        assert told(switch, 2, over=protected, problems=tuple(ILL)) == 0  # at once, whatever is not well
        assert switch.state is SwitchState.OFF


def test_a_call_that_failed_is_due_again() -> None:
    switch = Switch(60)
    assert switch.due(RESTING, [], 0) == 60
    assert switch.due(RESTING, [], 1) == 60
    switch.told(60, 1)
    assert switch.due(EMPTY, [], 2) == 0
    assert switch.due(EMPTY, [], 3) == 0


def test_it_is_turned_off_after_a_call_to_arm_it_whose_answer_was_lost() -> None:
    switch = Switch(60)
    told(switch, 0, over=EMPTY)
    assert switch.due(RESTING, [], 1) == 60
    switch.lost()
    assert switch.state is SwitchState.UNKNOWN
    assert told(switch, 2, over=EMPTY) == 0
    assert told(switch, 3, over=EMPTY) is None


def test_orders_that_never_left_and_exits_need_no_switch() -> None:
    for others in (
        view(working=(working("conversion", status=OrderStatus.INTENDED),)),
        view(working=(working("exit"),)),
    ):
        switch = Switch(60)
        assert told(switch, 0, over=others) == 0
