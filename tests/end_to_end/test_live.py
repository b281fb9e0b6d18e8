"""Real money, with a sandbox where Kraken stands: without one of the conditions paper trades, with all of them orders
reach the exchange, and what is open stays protected whatever is missing later."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.services import Services
from tests.end_to_end.live_home import LiveHome, live_home, permit_of
from tests.streaming.sandbox.simulated_exchange import BTC
from trading.errors import InvalidSettings, InvalidValue, NotAuthorised
from trading.orders import OrderStatus
from trading.venues.kraken.authentication import KEY

PAPER = "paper-main-kraken"


@pytest.fixture
def home(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHome]:
    with live_home(tmp_path, dsn, monkeypatch) as opened:
        yield opened


@pytest.fixture
def live(home: LiveHome) -> LiveHome:
    """With a champion, and confirmed."""
    home.promote()
    home.confirm()
    return home


@pytest.fixture
def open_position(live: LiveHome) -> LiveHome:
    done = live.decide()
    assert done.order is not None
    assert done.order.status is OrderStatus.FILLED, done.receipt["outcome"]
    return live


def orders(home: LiveHome) -> list[str]:
    """What the exchange was ever sent."""
    return [each["order_id"] for each in home.exchange.export()["orders"]]


def is_open(home: LiveHome) -> bool:
    return home.services.journal.position(home.key_account, BTC) is not None


# --- paper, unless everything holds


def paper_trades_because(home: LiveHome, reason: str) -> None:
    """The account, the receipt, `status` and `doctor` say so, and nothing reaches the exchange."""
    done = home.decide()
    assert done.receipt["account"] == PAPER
    assert reason in permit_of(done)["note"]
    assert permit_of(done)["passes"]
    assert orders(home) == []
    (note,) = home.facts("status")["live"]
    assert (note["severity"], home.facts("status")["account"]) == ("warning", PAPER)
    assert "live is asked for, but paper trades" in note["text"]
    assert reason in note["text"]
    found = next(each for each in home.facts("doctor") if each["what"] == "real money")
    assert (found["health"], reason in found["detail"]) == ("note", True)


def test_without_a_confirmation_paper_trades(home: LiveHome) -> None:
    home.promote()
    paper_trades_because(home, "nobody has confirmed account kraken-")


def test_without_a_champion_nothing_can_be_confirmed_and_paper_trades(home: LiveHome) -> None:
    with pytest.raises(InvalidSettings, match="no policy of BTC/USDT has passed the gate"):
        home.confirm()
    paper_trades_because(home, "no policy of BTC/USDT has passed the gate")


def test_without_a_green_doctor_nothing_can_be_confirmed_and_paper_trades(home: LiveHome) -> None:
    home.promote()
    home.exchange.admin("status", {"pair": str(BTC), "status": "cancel_only"})
    with pytest.raises(InvalidSettings, match="BTC/USDT is cancel_only"):
        home.confirm()
    home.exchange.admin("status", {"pair": str(BTC), "status": "online"})
    paper_trades_because(home, "BTC/USDT is cancel_only")


def test_without_a_key_nothing_can_be_confirmed_and_paper_trades(home: LiveHome) -> None:
    home.promote()
    home.patch.delenv(KEY)
    with pytest.raises(NotAuthorised, match=KEY):
        home.confirm("kraken-12345678")
    paper_trades_because(home, f"{KEY} not set")


def test_without_the_mode_nothing_can_be_confirmed_and_paper_trades_as_ever(home: LiveHome) -> None:
    home.promote()
    home.set(VENUE__MODE="paper")
    with pytest.raises(InvalidSettings, match='set it to "live"'):
        home.confirm()
    done = home.decide()
    assert done.receipt["account"] == PAPER
    assert permit_of(done)["note"] == "real money is not asked for"
    assert (orders(home), home.facts("status")["live"]) == ([], [])


def test_without_a_terminal_nobody_confirms(home: LiveHome) -> None:
    home.promote()
    result = home.command("live", "confirm")
    assert isinstance(result.exception, InvalidValue)
    assert "in a terminal" in str(result.exception)
    assert home.account == PAPER


def test_another_word_confirms_nothing(home: LiveHome) -> None:
    home.promote()
    with pytest.raises(InvalidValue, match="nothing is confirmed"):
        home.confirm("yes")
    assert home.account == PAPER


def test_live_needs_krakens_prices_of_now(home: LiveHome) -> None:
    home.set(MARKET__SOURCE="simulator")
    with pytest.raises(InvalidSettings, match=r'set \[market\] source = "kraken" and until = ""'):
        home.services.traded  # noqa: B018


# --- everything holds


def test_with_all_five_an_order_reaches_the_exchange_and_the_books_agree(open_position: LiveHome) -> None:
    home = open_position
    assert home.account == home.key_account
    fills = home.services.journal.fills(home.account)
    exchange = home.exchange.export()["fills"]
    assert sum(each.quantity for each in fills) == sum(Decimal(each["quantity"]) for each in exchange) > 0
    with home.services.exchange.client(home.services.key_state) as client:
        held = client.balance()
    booked = home.services.journal.balances(home.account)
    assert {
        asset: abs(amount - booked[asset]) < Decimal("0.0001") for asset, amount in held.items()
    } == dict.fromkeys(held, True)
    assert home.reconcile()["agrees"]
    (made,) = home.services.journal.decisions(home.account)
    assert home.command("replay", made["decision_id"]).exit_code == 0  # the permit was one of its inputs
    (note,) = home.facts("status")["live"]
    assert note["severity"] == "info"
    assert "trades real money" in note["text"]


def test_the_key_is_in_no_output_no_receipt_no_table_and_no_file(
    open_position: LiveHome, caplog: pytest.LogCaptureFixture
) -> None:
    home = open_position
    (row,) = home.services.journal.decisions(home.account)
    told = [
        repr(home.services),
        repr(home.services.exchange),
        repr(home.services.live_gate),
        json.dumps(row),
        caplog.text,
        home.command("status").output,
        home.command("doctor", "--live").output,
        home.command("why", row["decision_id"]).output,
        home.command("bundle", row["decision_id"], str(home.home / "a.bundle")).output,
    ]
    with home.services.journal._database.transaction() as connection:
        names = [
            each["tablename"]
            for each in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        for name in names:
            told += [str(each) for each in connection.execute(f'SELECT t::text FROM "{name}" t'.encode())]
    told += [path.read_bytes().decode("latin-1") for path in home.home.rglob("*") if path.is_file()]
    for secret in (home.exchange.key, home.exchange.secret):
        assert not [each for each in told if secret in each]
    assert len(told) > 50


# --- what is missing later


def stop_out(home: LiveHome) -> None:
    """The price falls through the stop, which rests at the exchange and fires there; the keeper books it."""
    position = home.services.journal.position(home.key_account, BTC)
    assert position is not None
    assert position.stop_loss is not None
    home.trade(position.stop_loss * Decimal("0.999"))
    home.keep()
    assert not is_open(home)


def test_without_its_champion_the_position_stays_protected_until_it_is_closed_and_no_other_is_opened(
    open_position: LiveHome,
) -> None:
    home = open_position
    home.execute("DELETE FROM promotions")
    home.close_candle()
    held = home.decide()
    assert held.receipt["account"] == home.key_account
    assert "no policy of BTC/USDT has passed the gate" in str(held.receipt["inputs"]["account"]["permit"])
    assert is_open(home)
    stop_out(home)
    assert home.reconcile()["agrees"]
    sent = len(orders(home))
    home.close_candle()
    done = home.decide()
    verdict = permit_of(done)
    assert not verdict["passes"]
    assert "no policy of BTC/USDT has passed the gate" in verdict["note"]
    assert "rules alone do not trade real money" in verdict["note"]
    assert (done.receipt["account"], done.order, len(orders(home))) == (home.key_account, None, sent)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE live_checks SET checked_at = checked_at - interval '16 minutes'", "looked 16 min ago"),
        ("UPDATE live_checks SET problems = '[\"balances: BTC differs\"]'", "balances: BTC differs"),
        ("DELETE FROM live_checks", "has not looked at account"),
    ],
)
def test_a_doctor_that_is_late_or_finds_something_keeps_entries_back_and_the_account_stays(
    live: LiveHome, statement: str, reason: str
) -> None:
    live.execute(statement)
    done = live.decide()
    assert done.receipt["account"] == live.key_account
    assert not permit_of(done)["passes"]
    assert reason in permit_of(done)["note"]
    assert orders(live) == []


def test_a_looser_limit_is_another_deployment_and_a_stricter_one_is_none(live: LiveHome) -> None:
    live.set(RISK__POSITION_CAP="0.1")
    assert live.account == live.key_account
    live.set(RISK__POSITION_CAP="0.3")
    paper_trades_because(live, "risk.position_cap 0.2 -> 0.3")
    shown = live.confirm()
    assert "risk.position_cap 0.2 -> 0.3" in shown
    assert live.account == live.key_account


def test_an_open_position_holds_the_account_when_the_deployment_changes_and_paper_follows_once_it_is_closed(
    open_position: LiveHome,
) -> None:
    home = open_position
    home.set(VENUE__MODE="paper", REBALANCING__EXECUTE="true")  # which is allowed on paper alone
    home.close_candle()
    done = home.decide()
    assert done.receipt["account"] == home.key_account
    services, before = home.services, home.exchange.export()["orders"]
    services.rebalancer.run(services.input_reader.read_clock())
    assert home.exchange.export()["orders"] == before
    permit = done.receipt["inputs"]["account"]["permit"]
    assert permit["is_live"]
    assert '[venue] mode = "paper"' in permit["missing"][0]
    assert '[venue] mode = "paper"' in home.command("why", done.receipt["decision_id"]).output
    (note,) = home.facts("status")["live"]
    assert note["severity"] == "error"
    assert "what is open is protected" in note["text"]
    stop_out(home)
    assert home.account == PAPER


def test_another_key_must_be_confirmed_and_beside_a_position_that_nobody_watches_not_even_paper_opens_one(
    open_position: LiveHome,
) -> None:
    home, first = open_position, open_position.key_account
    home.use_key(home.exchange.open_account("second", {"USDT": Decimal(20_000), "BTC": Decimal("0.5")}))
    home.close_candle()
    done = home.decide()
    assert done.receipt["account"] == PAPER
    assert not permit_of(done)["passes"]
    assert f"account {first} has" in permit_of(done)["note"]
    assert [each["severity"] for each in home.facts("status")["live"]] == ["error", "warning"]
    with pytest.raises(InvalidSettings, match=f"account {first} has"):
        home.confirm()
    nobody_has_its_orders_in_hand(home)
    assert home.command("live", "end", "--account", first, "--reason", "closed by hand").exit_code == 0
    assert [each["severity"] for each in home.facts("status")["live"]] == ["warning"]
    home.confirm()
    assert home.account == home.key_account != first


def nobody_has_its_orders_in_hand(home: LiveHome) -> None:
    home.execute("UPDATE leases SET held_until = held_until - interval '90 seconds'")


def test_an_account_that_another_process_watches_is_not_closed_by_hand_from_a_shell_without_its_key(
    open_position: LiveHome,
) -> None:
    home, account = open_position, open_position.key_account
    nobody_has_its_orders_in_hand(home)
    home.keep()  # the process that watches it
    home.patch.delenv(KEY)
    (text,) = home.services.live_gate.unwatched(home.account)
    assert "watched by another process" in text
    result = home.command("live", "end", "--account", account, "--reason", "closed by hand")
    assert result.exit_code != 0
    assert "in hand within the last minute" in str(result.exception)
    gate = home.services.live_gate
    assert gate.accounts.is_ours(account)
    assert gate.accounts.confirmation(account) is not None
    nobody_has_its_orders_in_hand(home)
    (text,) = home.services.live_gate.unwatched(home.account)
    assert "nothing watches it" in text
    assert home.command("live", "end", "--account", account, "--reason", "closed by hand").exit_code == 0
    assert not gate.accounts.is_ours(account)


@pytest.mark.parametrize("change", ["source", "key", "key after an end"])
def test_a_position_that_nobody_watches_any_more_is_an_error_under_any_settings(
    open_position: LiveHome, change: str
) -> None:
    home, account = open_position, open_position.key_account
    if change == "source":
        home.set(VENUE__MODE="paper", MARKET__SOURCE="simulator")
    else:
        if change == "key after an end":
            assert home.command("live", "end", "--reason", "back to paper").exit_code == 0
            assert home.account == account  # protected as long as it is there
        home.patch.delenv(KEY)
    nobody_has_its_orders_in_hand(home)
    assert home.account.startswith("paper-")
    services = home.services
    (text,) = services.live_gate.unwatched(home.account)
    assert f"account {account} has" in text
    permit = services.live_permit(BTC)
    assert permit is not None
    assert permit.unwatched == (text,)
    assert home.facts("status")["live"][0]["severity"] == "error"
    killed = home.facts("kill", "--flatten", "--reason", "in a shell without the key")
    assert text in killed["problems"]


def test_an_entry_that_waits_is_not_sent_once_live_was_ended(live: LiveHome) -> None:
    live.exchange.arm("rate_limit", method="AddOrder", count=1000)
    live.exchange.arm("rate_limit", method="add_order", count=1000)
    live.close_candle()
    done = live.decide()
    assert done.order is not None
    assert done.order.status is OrderStatus.INTENDED
    live.execute("UPDATE live_checks SET problems = '[\"exchange: maintenance\"]'")
    live.exchange.disarm()
    live.keep()
    order = live.services.journal.order(done.order.intent_id)
    assert order is not None
    assert order.status is OrderStatus.CANCELLED
    assert "exchange: maintenance" in order.cancel_reason
    assert live.exchange.export()["orders"] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("PROMOTION__MINIMUM_TRADES", "1"), ("OLLAMA__CHAT_MODEL", "another"), ("VENUE__SLIPPAGE", "0.0")],
)
def test_a_looser_gate_another_model_and_other_costs_are_another_deployment(
    live: LiveHome, name: str, value: str
) -> None:
    live.set(**{name: value})
    assert live.account == PAPER


def test_an_end_sends_a_flat_account_back_to_paper_and_is_kept_with_its_name(live: LiveHome) -> None:
    result = live.command("live", "end", "--reason", "back to paper", "--by", "ada")
    assert result.exit_code == 0, result.output
    assert live.account == PAPER
    assert isinstance(live.command("live", "end", "--reason", "again").exception, Exception)
    paper_trades_because(live, "nobody has confirmed account")


def test_an_order_of_another_account_is_refused_by_the_executor_of_this_one(live: LiveHome) -> None:
    before = Services(live.services.settings, live.home, live.dsn)
    assert before.account.name == live.key_account
    with pytest.raises(InvalidValue, match=PAPER):
        before.order_executor.carry_out(PAPER, before.clock().at)
