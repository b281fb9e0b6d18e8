"""What the client reads of an account, asked of the sandbox through Kraken's protocol."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from tests.contracts.venues import kraken_client
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BALANCES, BTC, CROSS, UNHURRIED, XRP
from trading.errors import NotStored, VenueRefused
from trading.market import Pair, PairStatus
from trading.orders import Side
from trading.venues.kraken import KrakenClient
from trading.venues.kraken.order_request import KrakenOrderType, KrakenTimeInForce, OrderRequest

RIGHTS = {
    "query-funds",
    "query-open-trades",
    "query-closed-trades",
    "query-ledger",
    "modify-trades",
    "close-trades",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), tier=UNHURRIED.name) as exchange:
        exchange.advance(60)
        yield exchange


@dataclass
class Account:
    exchange: Sandbox
    client: KrakenClient

    def order(self, **changes: object) -> str:
        wanted = {"pair": BTC, "side": Side.BUY, "quantity": Decimal("0.01"), **changes}
        (order_id,) = self.client.add_order(OrderRequest(**wanted)).txid  # type: ignore[arg-type]
        return order_id

    def resting(self) -> str:
        return self.order(order_type=KrakenOrderType.LIMIT, price=Decimal(10_000))


@pytest.fixture
def account(running: Sandbox, tmp_path: Path) -> Iterator[Account]:
    exchange = running.open_account(str(uuid.uuid4()), BALANCES)
    with kraken_client(exchange, tmp_path) as client:
        yield Account(exchange, client)
    for pair in (None, BTC):
        exchange.admin("status", {"status": "online", **({"pair": str(pair)} if pair else {})})


def test_a_key_says_what_it_may_do(account: Account) -> None:
    info = account.client.api_key_info()
    assert set(info.permissions) >= RIGHTS
    assert not any("withdraw" in right for right in info.permissions)


def test_fees_of_several_pairs_are_those_of_the_account(account: Account) -> None:
    volume = account.client.trade_volume([BTC, CROSS])
    assert volume.fees is not None
    assert volume.fees_maker is not None
    assert [tier.fee for tier in volume.fees.values()] == [Decimal("0.4"), Decimal("0.4")]
    assert {tier.fee for tier in volume.fees_maker.values()} == {Decimal("0.25")}
    found = account.client.instruments([BTC, CROSS])
    assert [(each.taker_fee, each.maker_fee) for each in found.values()] == [
        (Decimal("0.004"), Decimal("0.0025"))
    ] * 2


def test_a_pair_that_is_not_traded_has_no_instrument(account: Account) -> None:
    for read in (account.client.instruments, account.client.current_instruments):
        with pytest.raises(NotStored, match="NOT/THERE"):
            read([BTC, Pair("NOT", "THERE")])


def test_the_status_of_a_pair_is_that_of_the_moment(account: Account) -> None:
    before = account.client.current_instruments([BTC, XRP])
    account.exchange.admin("status", {"pair": str(BTC), "status": "reduce_only"})
    after = account.client.current_instruments([BTC, XRP])
    assert [each.status for each in before.values()] == [PairStatus.ONLINE] * 2
    assert [each.status for each in after.values()] == [PairStatus.REDUCE_ONLY, PairStatus.ONLINE]


def test_an_exchange_that_takes_cancellations_only_says_so_for_every_pair(account: Account) -> None:
    account.exchange.admin("status", {"pair": str(BTC), "status": "post_only"})
    account.exchange.admin("status", {"status": "cancel_only"})
    found = account.client.current_instruments([BTC, XRP])
    assert {each.status for each in found.values()} == {PairStatus.CANCEL_ONLY}


def test_what_open_orders_bind_is_not_available(account: Account) -> None:
    account.resting()
    usdt = account.client.extended_balance()["USDT"]
    assert usdt.balance == BALANCES["USDT"]
    assert usdt.hold_trade >= 100
    assert usdt.available == usdt.balance - usdt.hold_trade


def test_the_ledger_has_every_change_of_a_balance_with_our_asset_names(account: Account) -> None:
    account.order()
    trades = account.client.ledgers("trade").ledger
    assert {each.asset for each in trades.values()} == {"BTC", "USDT"}
    (bought,) = account.client.ledgers("trade", ["BTC"]).ledger.values()
    assert (bought.amount, bought.balance) == (Decimal("0.01"), BALANCES["BTC"] + Decimal("0.01"))
    deposits = account.client.ledgers("deposit").ledger.values()
    assert {each.asset: each.amount for each in deposits} == BALANCES


def test_single_entries_of_the_ledger_can_be_asked_for(account: Account) -> None:
    account.order()
    every = account.client.ledgers().ledger
    chosen = list(every)[:2]
    assert account.client.query_ledgers(chosen) == {key: every[key] for key in chosen}


def test_an_amended_order_has_its_history(account: Account) -> None:
    order_id = account.resting()
    account.client.amend_order(BTC, order_id, limit=Decimal(11_000))
    first, second = account.client.order_amends(order_id)
    assert (first.amend_type, first.limit_price) == ("original", 10_000)
    assert (second.amend_type, second.limit_price, second.order_qty) == ("user", 11_000, Decimal("0.01"))


def test_an_order_of_nobody_has_no_history(account: Account) -> None:
    with pytest.raises(VenueRefused):
        account.client.order_amends("OAAAAA-BBBBB-CCCCCC")


def test_an_order_that_cannot_be_filled_as_a_whole_is_not_filled_at_all(account: Account) -> None:
    order_id = account.order(
        order_type=KrakenOrderType.LIMIT, price=Decimal(10_000), time_in_force=KrakenTimeInForce.FOK
    )
    (ended,) = account.client.query_orders([order_id]).values()
    assert (ended.status, ended.vol_exec) == ("canceled", 0)
