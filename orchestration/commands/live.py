"""`marketloom live`: a person lets one deployment trade real money, or ends that."""

import getpass
import sys
from typing import Any

from rich.console import Console

from orchestration.commands.doctor import show as show_findings
from orchestration.commands.doctor_live import check_account
from orchestration.live import Condition, LiveGate
from orchestration.services import Services
from orchestration.system import running_system
from trading.errors import InvalidSettings, InvalidValue, NotStored
from trading.live_deployment import Deployment, changes
from trading.orders import OPENING

NO_TERMINAL = (
    "a person must type the account's name, and nobody sits here: run `marketloom live confirm` in a terminal (in a "
    "container: `docker-compose exec marketloom marketloom live confirm`)"
)


def confirm_live(out: Console, by: str = "") -> dict[str, Any]:
    """Examine, show what would trade, and store that a person has typed the account's name.

    InvalidValue without a terminal or for another word, InvalidSettings while a condition is missing.
    """
    if not sys.stdin.isatty():
        raise InvalidValue(NO_TERMINAL)
    with running_system():
        services = Services.current()
        gate = services.live_gate
        if not gate.is_asked_for:
            raise InvalidSettings(
                f'[venue] mode is "{services.settings.venue.mode}": set it to "live", and [market] source to "kraken", '
                "before you confirm (docs/live.md)"
            )
        account = gate.key_account()
        out.print(f"examining account {account} at {services.settings.kraken.rest_url} ...", soft_wrap=True)
        show_findings(check_account(services), out)
        _require_all_others(gate.conditions(), gate.unwatched(account))
        deployment = gate.deployment(account)
        _show(out, services, gate, deployment)
        out.print(f"Type the account's name, {account}, to let it trade real money:", soft_wrap=True)
        if sys.stdin.readline().strip() != account:
            raise InvalidValue(f"that is not {account}: nothing is confirmed, and nothing has changed")
        gate.accounts.confirm(deployment, by or getpass.getuser())
        return {"account": account, "code": deployment.code}


def _require_all_others(found: list[Condition], unwatched: list[str]) -> None:
    missing = [
        f"{each.what}: {each.words}" for each in found if not each.holds and each.what != "confirmation"
    ]
    if missing or unwatched:
        raise InvalidSettings(f"nothing can be confirmed yet: {'; '.join([*missing, *unwatched])}")


def _show(out: Console, services: Services, gate: LiveGate, deployment: Deployment) -> None:
    """Show what a person needs to know before money is at risk."""
    limits, risk = services.settings.risk, "of its equity"
    champions = next(each.words for each in gate.conditions() if each.what == "champion")
    before = gate.accounts.confirmation(deployment.account)
    lines = [
        f"pairs and champions: {champions}",
        f"one trade may lose {limits.risk_per_trade:.1%} {risk}; one position {limits.position_cap:.0%}, all together "
        f"{limits.total_exposure:.0%}",
        f"it stops at {limits.daily_loss:.0%} in a day and at {limits.drawdown:.0%} below the peak",
        f"code {deployment.code}, orders go to {services.settings.kraken.private_websocket_url}",
    ]
    if before:
        since = f"changed since {before.at:%Y-%m-%d %H:%M} UTC"
        lines += [f"{since}: {each}" for each in changes(before.deployment, deployment)]
    for line in lines:
        out.print(f"  {line}", soft_wrap=True, markup=False)


def end_live(reason: str, account: str, by: str) -> dict[str, Any]:
    """End what was confirmed of the account; without a name, of the key in the environment. NotStored without one.

    An account that this process does not watch is closed by hand, a person says. InvalidValue while another one has
    its orders in hand.
    """
    if not reason.strip():
        raise InvalidValue("say why: --reason 'back to paper'")
    with running_system():
        services = Services.current()
        gate = services.live_gate
        name = account or gate.key_account()
        watched = name == services.account.name
        by_hand = bool(account) and not watched
        if by_hand and gate.is_tended(name):
            raise InvalidValue(
                f"nothing has changed: another process has had the orders of account {name} in hand within the last "
                "minute, so it is not closed by hand; end it where its key is in the environment, or stop that "
                "process first and say it again a minute later"
            )
        if not gate.accounts.end(name, f"{by or getpass.getuser()}: {reason}", closed_by_hand=by_hand):
            raise NotStored(f"account {name} was not confirmed: it opens nothing")
        if watched:
            _cancel_entries(services, name, reason)
        return {"account": name, "in_the_market": gate.in_the_market(name)}


def _cancel_entries(services: Services, account: str, reason: str) -> None:
    """Note that entries which wait, or rest, must leave: whoever carries out orders next takes them off."""
    for each in services.journal.working_orders(account):
        if each.intent.kind in OPENING and not each.order.cancel_reason:
            at = services.clock().at
            services.journal.request_cancel(each.intent.intent_id, f"live was ended: {reason}", at)


def show_end(facts: dict[str, Any], out: Console) -> None:
    out.print(
        f"account {facts['account']} opens nothing more; `marketloom live confirm` begins again",
        soft_wrap=True,
    )
    for each in facts["in_the_market"]:
        out.print(
            f"  still in the market: {each}; it stays protected while its key is in the environment",
            soft_wrap=True,
            markup=False,
        )
