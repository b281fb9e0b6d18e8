"""`marketloom doctor --live`: check the account that orders go to: key, clock, limits, orders, balances, sizes."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ml.track_record.board import BEGINNING
from ml.track_record.cut_off import is_language_model
from orchestration.commands.findings import Finding, Health, finding
from orchestration.services import Services
from orchestration.settings_schema import Settings
from orchestration.venues import exchange_access
from trading.errors import NotStored
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Purpose
from trading.portfolio import equity, rate
from trading.ports import Journal
from trading.venues.kraken import KrakenClient
from trading.venues.kraken.instruments import from_kraken_asset
from trading.venues.kraken.rate_limits import CALL_COST

NEEDED_RIGHTS = (
    "query-funds", "query-open-trades", "query-closed-trades", "query-ledger", "modify-trades", "close-trades",
)  # fmt: skip
TOKEN_RIGHTS = frozenset({"create-ws-token", "access-websockets"})  # one of them: orders over the WebSocket
WHERE = "kraken.com (Settings, API)"
DEFAULT_DECIMALS = 8
NEEDED_VOTES = 100  # of a language model: fewer say nothing of it
SETTLE_SECONDS = 5.0  # an order that is just being booked is no difference
NOTE_HEALTH = {"info": Health.OK, "warning": Health.NOTE, "error": Health.BROKEN}


@dataclass(frozen=True, slots=True)
class LiveAccount:
    """What the checks look at."""

    settings: Settings
    client: KrakenClient
    journal: Journal
    name: str  # in the journal

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return self.settings.market.pairs


def examine_live(account: LiveAccount) -> list[Finding]:
    """Make every check; one that fails does not hide the next."""
    checks: tuple[tuple[str, Callable[[LiveAccount], Finding]], ...] = (
        ("exchange", _exchange),
        ("clock", _clock),
        ("key rights", _rights),
        ("key limits", _restrictions),
        ("fees", _fees),
        ("rate budget", _budget),
        ("pair status", _status),
        ("open orders", _orders),
        ("balances", _balances),
        ("order sizes", _sizes),
    )
    return [finding(what, lambda check=check: check(account)) for what, check in checks]  # type: ignore[misc]


def examine_account(services: Services) -> list[Finding]:
    """Examine the sandbox's account in mode sandbox, else Kraken's with the key in the environment."""
    is_sandbox = services.settings.venue.mode == "sandbox"
    access = exchange_access("sandbox" if is_sandbox else "kraken", services.settings, services.home)
    with access.client(services.key_state) as client:
        found = examine_live(LiveAccount(services.settings, client, services.journal, access.account))
    return found if is_sandbox else [*found, finding("track record", lambda: examine_record(services))]


def examine_record(services: Services) -> Finding:
    """Look whether every language model that votes, or judges news, has a record on what it cannot have read."""
    models = sorted({*_judges(services)})
    if not models:
        return Finding("track record", Health.OK, "no language model judges")
    cut_offs = services.board_maker.cut_offs
    votes = services.board_maker.votes_of(models, BEGINNING, services.clock().at)
    words = "; ".join(
        f"{model} has {votes[model]} votes after its knowledge ends ({cut_offs.in_words(model)})"
        for model in models
    )
    if all(votes[model] >= NEEDED_VOTES for model in models):
        return Finding("track record", Health.OK, words)
    advice = f"{NEEDED_VOTES} are needed for real money: let it judge on paper, `marketloom board` shows them"
    return Finding("track record", Health.BROKEN, f"{words}; {advice}")


def _judges(services: Services) -> Iterator[str]:
    """Yield the names of the language models whose answers reach a decision."""
    agents, specs = services.settings.agents, services.settings.models.specs
    for name in {*agents.traders, *filter(None, [agents.analyst_model])}:
        yield specs[name].name
    if is_language_model(sentiment := services.sentiment_model.name):
        yield sentiment


def check_account(
    services: Services,
    examine: Callable[[Services], list[Finding]] = examine_account,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Finding]:
    """Examine, and look a second time before anything that blocks is taken for true (decision 35).

    What then blocks the account at Kraken is stored: nothing is opened with real money while something does.
    """
    findings = examine(services)
    if blocking(findings):
        sleep(SETTLE_SECONDS)
        findings = examine(services)
    gate = services.live_gate
    if services.settings.venue.mode != "sandbox":
        gate.accounts.save_check(gate.key_account(), blocking(findings))
    return findings


def blocking(findings: Sequence[Finding]) -> list[str]:
    """Return what of it blocks, in words."""
    return [f"{each.what}: {each.detail}" for each in findings if each.blocks]


def examine_conditions(services: Services) -> list[Finding]:
    """Say which of the conditions for real money hold; one that does not is no fault by itself: paper trades then."""
    gate, traded = services.live_gate, services.traded
    found = [
        Finding(f"live {each.what}", Health.OK if each.holds else Health.NOTE, each.words)
        for each in gate.conditions()
        if each.what != "doctor"  # it is what was printed before
    ]
    return [
        *found,
        *(Finding("real money", NOTE_HEALTH[each.severity], each.text) for each in gate.notes(traded)),
    ]


def _exchange(account: LiveAccount) -> Finding:
    state = account.client.system_status().state
    if state is PairStatus.ONLINE:
        return Finding("exchange", Health.OK, "online")
    return Finding(
        "exchange", Health.BROKEN, f"{state}: wait until it is online, status.kraken.com says when"
    )


def _clock(account: LiveAccount) -> Finding:
    skew, limit = account.client.clock_skew(), account.settings.risk.clock_skew_seconds
    if not skew.surely_exceeds(limit):
        return Finding("clock", Health.OK, f"this machine is {skew}")
    advice = f"more than [risk] clock_skew_seconds = {limit:g}: set the clock, `timedatectl set-ntp true`"
    return Finding("clock", Health.BROKEN, f"this machine is {skew}, {advice}")


def _rights(account: LiveAccount) -> Finding:
    found = set(account.client.api_key_info().permissions)
    if withdrawing := sorted(right for right in found if "withdraw" in right):
        advice = f"who steals it takes the money: make another key without it at {WHERE}"
        return Finding(
            "key rights", Health.BROKEN, f"the key may withdraw ({', '.join(withdrawing)}): {advice}"
        )
    if missing := [right for right in NEEDED_RIGHTS if right not in found]:
        return Finding("key rights", Health.BROKEN, f"{', '.join(missing)} missing: add them at {WHERE}")
    if not TOKEN_RIGHTS & found:
        words = f"no WebSocket token: orders go over REST, which is slower; add the right at {WHERE}"
        return Finding("key rights", Health.NOTE, words)
    return Finding("key rights", Health.OK, f"{', '.join(sorted(found))}; no withdrawals")


def _restrictions(account: LiveAccount) -> Finding:
    info = account.client.api_key_info()
    advice = []
    if not info.ip_allowlist:
        advice.append("any address may use it: list this machine's")
    if info.nonce_window == "0":
        advice.append(
            "its nonce window is 0: calls that overtake each other are refused and sent again; set 10000"
        )
    if info.valid_until != "0":
        advice.append(f"it ends at {info.valid_until} (seconds since 1970): make the next one in time")
    if advice:
        return Finding("key limits", Health.NOTE, f"{info.api_key_name}: {'; '.join(advice)}, at {WHERE}")
    return Finding(
        "key limits", Health.OK, f"{info.api_key_name}: allowed addresses {', '.join(info.ip_allowlist)}"
    )


def _fees(account: LiveAccount) -> Finding:
    volume = account.client.trade_volume(account.pairs).volume
    charged = account.client.instruments(account.pairs)
    newest = account.settings.fees[-1]
    lines = [
        f"{pair} {_percent(each.taker_fee)} / {_percent(each.maker_fee)}" for pair, each in charged.items()
    ]
    text = f"taker / maker: {', '.join(lines)}, at {volume:f} traded in 30 days"
    if all((each.taker_fee, each.maker_fee) == (newest.taker, newest.maker) for each in charged.values()):
        return Finding("fees", Health.OK, text)
    told = f"{_percent(newest.taker)} / {_percent(newest.maker)}"
    advice = f"back-tests of now pay {told}: add what the account pays as [[venue.fees]]"
    return Finding("fees", Health.NOTE, f"{text}; {advice}")


def _budget(account: LiveAccount) -> Finding:
    listings = account.client.listings()
    names = tuple(listings.listing(pair).altname for pair in account.pairs)
    levels = account.client.budget.levels(names)
    text = ", ".join(f"{name} {level:.0f} of {limit.maximum:g}" for name, (level, limit) in levels.items())
    scarce = [
        name
        for name, (level, limit) in levels.items()
        if level + CALL_COST > limit.ceiling(Purpose.LOOK_UP, CALL_COST)
    ]
    if scarce:
        advice = f"{', '.join(scarce)}: only exits are sent at once now; end other programs that use this key"
        return Finding("rate budget", Health.NOTE, f"spent: {text}; {advice}")
    tier = account.settings.sandbox.tier if _is_sandbox(account) else account.settings.kraken.tier
    return Finding("rate budget", Health.OK, f"tier {tier}; spent: {text}")


def _status(account: LiveAccount) -> Finding:
    found = account.client.current_instruments(account.pairs)
    closed = [
        f"{pair} is {each.status}" for pair, each in found.items() if each.status is not PairStatus.ONLINE
    ]
    if closed:
        advice = "nothing is opened there until that ends"
        return Finding("pair status", Health.BROKEN, f"{', '.join(closed)}: {advice}")
    return Finding("pair status", Health.OK, f"{', '.join(map(str, found))} online")


def _orders(account: LiveAccount) -> Finding:
    """Compare with the orders that the journal waits for; a stop that went with an entry names that as its parent."""
    expected = {each.intent.client_order_id for each in account.journal.working_orders(account.name)}
    found = account.client.open_orders()
    foreign = [
        key
        for key, each in found.items()
        if each.cl_ord_id not in expected
        and not any(name and account.journal.find_order(account.name, name) for name in (key, each.refid))
    ]
    if foreign:
        advice = "another program or a person placed them: cancel them there, or use an account of its own"
        return Finding("open orders", Health.BROKEN, f"{', '.join(foreign)} not in the journal: {advice}")
    return Finding("open orders", Health.OK, f"{len(found)}, all of them ours")


def _balances(account: LiveAccount) -> Finding:
    held, name = account.client.balance(), account.name
    try:
        booked = account.journal.balances(name)
    except NotStored:
        assets = ", ".join(f"{amount:f} {asset}" for asset, amount in sorted(held.items()) if amount)
        return Finding("balances", Health.OK, f"account {name} will open with {assets or 'nothing'}")
    digits = {
        from_kraken_asset(each.altname): each.display_decimals for each in account.client.assets().values()
    }
    wrong = [
        f"{asset}: {held.get(asset, Decimal(0)):f} there, {booked.get(asset, Decimal(0)):f} in the journal"
        for asset in sorted(held.keys() | booked.keys())
        if abs(held.get(asset, Decimal(0)) - booked.get(asset, Decimal(0)))
        > Decimal(1).scaleb(-digits.get(asset.partition(".")[0], DEFAULT_DECIMALS))
    ]
    if wrong:
        advice = (
            "deposits, withdrawals, staking or foreign trades: nothing may trade before that is explained"
        )
        return Finding("balances", Health.BROKEN, f"{'; '.join(wrong)}: {advice}")
    return Finding("balances", Health.OK, f"{len(held)} assets, as in the journal of account {name}")


def _sizes(account: LiveAccount) -> Finding:
    """Compare what risk allows in one position, at the furthest stop, with the smallest order of each pair."""
    risk, quote = account.settings.risk, account.settings.market.quote
    prices = {pair: account.client.ticker(pair).last[0] for pair in account.pairs}
    priced = {asset for pair in prices for asset in (pair.base, pair.quote)}
    held = {asset: amount for asset, amount in account.client.balance().items() if asset in priced}
    total = equity(held, quote, prices)
    largest = total * Decimal(str(min(risk.position_cap, risk.risk_per_trade / risk.stop_distance)))
    listings = account.client.listings()
    smallest = {
        pair: _smallest(listings.instrument(pair), prices[pair]) * rate(pair.quote, quote, prices)
        for pair in account.pairs
    }
    small = [f"{pair} (at least {cost:.2f})" for pair, cost in smallest.items() if cost > largest]
    text = f"{total:.2f} {quote} allow {largest:.2f} in one position"
    if not small:
        return Finding("order sizes", Health.OK, f"{text}, above the minimum of every pair")
    health = Health.BROKEN if len(small) == len(smallest) else Health.NOTE
    advice = "deposit more, or take the pair out of [market] pairs"
    return Finding("order sizes", health, f"{text}: too small for {', '.join(small)}; {advice}")


def _smallest(instrument: Instrument, price: Decimal) -> Decimal:
    """Return the value of the smallest order, in the pair's quote."""
    return max(instrument.minimum_cost, instrument.minimum_quantity * price)


def _is_sandbox(account: LiveAccount) -> bool:
    return account.settings.venue.mode == "sandbox"


def _percent(share: Decimal) -> str:
    return f"{100 * share:.2f} %"
