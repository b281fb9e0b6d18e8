"""`marketloom kill`: entries stop at once, those that wait are cancelled, and positions are closed if wanted."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from orchestration.kill_switch import KillSwitch
from orchestration.services import Services
from orchestration.settings import home_folder
from orchestration.system import running_system
from trading.errors import MarketloomError, NotStored
from trading.execution.exits import KILLED
from trading.portfolio.exact import trim_zeros

NEXT = "no entry is sent until `marketloom resume`; stops stay at the venue, exits go on"


def kill_trading(reason: str, flatten: bool, by: str = "") -> dict[str, Any]:
    """Pull the switch before anything else, then halt the account and cancel its entries; with `flatten`, close all.

    The switch holds also where PostgreSQL or the venue cannot be reached: their error says so and what was not done.
    """
    words = KillSwitch(home_folder()).pull(by or getpass.getuser(), reason)
    with _saying_that_the_switch_holds(), running_system():
        return _carry_out(Services.current(), words, flatten)


def kill_account(services: Services, reason: str, flatten: bool, by: str) -> dict[str, Any]:
    """Do the same on a system that runs, to the account of these services."""
    words = KillSwitch(services.home).pull(by, reason)
    with _saying_that_the_switch_holds():
        return _carry_out(services, words, flatten)


@contextmanager
def _saying_that_the_switch_holds() -> Iterator[None]:
    try:
        yield
    except MarketloomError as error:
        raise MarketloomError(
            f"the kill switch is pulled, this home sends no entry; orders and positions could not be looked at, run "
            f"`marketloom kill` again: {error}"
        ) from error


def _carry_out(services: Services, words: str, flatten: bool) -> dict[str, Any]:
    account, cause = services.account.name, f"{KILLED} {words}"
    facts: dict[str, Any] = {"account": account, "switch": words}
    unwatched = services.live_gate.unwatched(account)  # as where the key is missing in this shell
    if not _is_open(services, account):
        return facts | {"cancelled": [], "closed": [], "positions": [], "problems": unwatched}
    executor, at = services.order_executor, services.clock().at
    stopped = executor.carry_out(account, at)
    closed = executor.flatten(account, at, cause) if flatten else None
    return facts | {
        "cancelled": [order.intent_id for order in stopped.cancelled],
        "closed": [order.intent_id for order in closed.filled] if closed else [],
        "positions": [
            f"{trim_zeros(each.quantity):f} {each.pair}" for each in services.journal.positions(account)
        ],
        "problems": [*stopped.problems, *(closed.problems if closed else ()), *unwatched],
    }


def _is_open(services: Services, account: str) -> bool:
    try:
        services.journal.balances(account)
    except NotStored:
        return False
    return True


def show(facts: dict[str, Any], out: Console) -> None:
    out.print(f"account {facts['account']} is halted: {facts['switch']}; {NEXT}", soft_wrap=True)
    out.print(f"{len(facts['cancelled'])} orders cancelled, {len(facts['closed'])} positions closed")
    for position in facts["positions"]:
        out.print(f"  still open: {position}; `marketloom kill --flatten` closes it")
    for problem in facts["problems"]:
        out.print(f"  problem: {problem}", soft_wrap=True)
