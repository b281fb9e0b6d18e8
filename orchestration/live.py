"""Which account trades, and whether it may open positions with real money: docs/decisions/0035.

Only facts that outlive a process decide: the settings, the key in the environment, and what PostgreSQL holds. So all
processes that share these come to the same answer.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ml.decision.recording import source_digest
from orchestration.settings_schema import Settings
from orchestration.venues import account_of_key
from trading.errors import NotAuthorised
from trading.live_deployment import Deployment, changes
from trading.market import Pair
from trading.ports import Journal, PromotionLog
from trading.risk import LivePermit
from trading.stores.postgres import PostgresLiveAccounts

CHECKED_WITHIN = 900.0  # seconds; what the doctor has found before says nothing of now
CODE = ("assets", "ml", "orchestration", "sensors", "streaming", "trading")
# What may not change unconfirmed, beside pairs, limits and code: where orders go, what decides, what protects.
SECTIONS = (
    "kraken", "signals", "consensus", "agents", "news", "sentiment", "guard", "policy", "promotion", "backtest",
    "ollama", "models", "embeddings", "instruments",
)  # fmt: skip
VALUES = (
    "market.quote", "market.timeframe", "market.news", "venue.protected_within", "venue.half_spread", "venue.slippage",
    "venue.participation", "venue.fees",
)  # fmt: skip
NUMBER = re.compile(r"\d+(\.\d+)?")
LIVE = "kraken"
TENDED_WITHIN = 60.0  # seconds; the keeper of an account with something in the market passes every 5
WAITS = "this process has not looked again since all conditions hold"


@dataclass(frozen=True, slots=True)
class TradedAccount:
    """Whose money it is, and where its orders go."""

    venue: Literal["paper", "sandbox", "kraken"]
    name: str

    @property
    def at_exchange(self) -> bool:
        """Return whether an exchange keeps books of it; on paper nobody else does."""
        return self.venue != "paper"


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the five that real money needs."""

    what: str
    holds: bool
    words: str  # what was found, and what to do unless it holds


@dataclass(frozen=True, slots=True)
class LiveNote:
    """What a person must know of real money now."""

    severity: Literal["info", "warning", "error"]
    text: str
    key: str  # the same while nothing but ages has changed


@dataclass(frozen=True, slots=True)
class LiveGate:
    """The account of the key in the environment, and the conditions under which it trades."""

    settings: Settings
    journal: Journal
    promotions: PromotionLog
    accounts: PostgresLiveAccounts
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    def __post_init__(self) -> None:
        source_digest(CODE)  # kept for this process: files that change later are not what runs in it

    @property
    def is_asked_for(self) -> bool:
        return self.settings.venue.mode == "live"

    def key_account(self) -> str:
        """Return the name of the account that the key in the environment trades. NotAuthorised without a key."""
        from trading.venues.kraken import Credentials

        return account_of_key(LIVE, Credentials.from_environment(self.environment).fingerprint)

    def live_account(self) -> str:
        """Return the account with real money that trades; empty where none does.

        One with something in the market goes on, whatever else holds: somebody must protect it. Any other needs the
        mode and a confirmation of just this deployment.
        """
        market = self.settings.market
        if market.source != "kraken" or market.is_history:
            return ""
        try:
            account = self.key_account()
        except NotAuthorised:
            return ""
        if self.in_the_market(account) or (self.is_asked_for and self._confirmed(account).holds):
            return account
        return ""

    def in_the_market(self, account: str) -> list[str]:
        """List open positions and orders; a rest that is too small to be sold is none."""
        known = self.settings.instruments
        orders = [  # read before positions: what is filled meanwhile is seen at least once
            f"an order of {each.intent.pair} ({each.intent.kind.value})"
            for each in self.journal.working_orders(account)
        ]
        positions = [
            f"{each.quantity:f} {each.pair}"
            for each in self.journal.positions(account)
            if each.pair not in known or abs(each.quantity) >= known[each.pair].minimum_quantity
        ]
        return positions + orders

    def is_tended(self, account: str) -> bool:
        """Return whether some process has had the account's orders in hand within the last minute."""
        return self.accounts.is_tended(account, TENDED_WITHIN)

    def unwatched(self, traded: str) -> list[str]:
        """Say which other accounts have real money in the market that this process does not watch, whatever the
        settings are."""
        return [*self._other_exposed(traded)]

    def entries_refused(self, traded: TradedAccount) -> str:
        """Return why an entry that waits may not be sent any more; empty where it may, and where no money is real."""
        if traded.venue != LIVE:
            return ""
        missing = [each for each in self.conditions() if not each.holds and each.what != "champion"]
        return "; ".join(f"{each.what}: {each.words}" for each in missing)

    def _other_exposed(self, traded: str) -> Iterator[str]:
        for name in self.journal.accounts():
            if name == traded or not name.startswith(f"{LIVE}-") or not self.accounts.is_ours(name):
                continue
            if not (found := self.in_the_market(name)):
                continue
            what = f"account {name} has {', '.join(found)} in the market"
            if self.is_tended(name):
                yield f"{what}, watched by another process: this one has not its key, and opens nothing beside it"
                continue
            yield (
                f'{what} and nothing watches it: give this program its key and [market] source = "kraken" again, or '
                f"close all of it at kraken.com and run `marketloom live end --account {name}`"
            )

    def conditions(self, pairs: Sequence[Pair] = ()) -> list[Condition]:
        """Look at all five; the champions of `pairs`, without: of all that are traded."""
        found = [self._mode()]
        try:
            account = self.key_account()
        except NotAuthorised as error:
            return [*found, Condition("key", False, str(error)), self._champions(pairs)]
        return [
            *found,
            Condition("key", True, f"of account {account}"),
            self._checked(account),
            self._champions(pairs),
            self._confirmed(account),
        ]

    def permit(self, traded: TradedAccount, pair: Pair) -> LivePermit | None:
        """Return whether a position of the pair may be opened; None where real money is not asked for."""
        is_live, unwatched = traded.venue == LIVE, self.unwatched(traded.name)
        if not (is_live or self.is_asked_for or unwatched):
            return None
        found = self.conditions([pair])
        return LivePermit(
            is_live=is_live,
            holds=tuple(f"{each.what}: {each.words}" for each in found if each.holds),
            missing=tuple(f"{each.what}: {each.words}" for each in found if not each.holds),
            unwatched=tuple(unwatched),
        )

    def notes(self, traded: TradedAccount) -> list[LiveNote]:
        """Say what a person must know of real money; nothing where it is not asked for and none is in the market."""
        is_live = traded.venue == LIVE
        notes = [LiveNote("error", text, f"unwatched {text}") for text in self.unwatched(traded.name)]
        if not (is_live or self.is_asked_for):
            return notes
        missing = [each for each in self.conditions() if not each.holds]
        key = NUMBER.sub("#", f"{traded.name} {' '.join(f'{each.what} {each.words}' for each in missing)}")
        text = "; ".join(f"{each.what}: {each.words}" for each in missing)
        if not is_live:
            text = f"live is asked for, but paper trades (account {traded.name}) because {text or WAITS}"
            return [*notes, LiveNote("warning", text, key)]
        name = f"account {traded.name}"
        if not missing:
            return [*notes, LiveNote("info", f"{name} trades real money, all conditions hold", key)]
        where = "in those pairs " if [each.what for each in missing] == ["champion"] else ""
        text = (
            f"{name} has real money: what is open is protected, and {where}nothing is opened, because {text}"
        )
        return [*notes, LiveNote("error", text, key)]

    def deployment(self, account: str) -> Deployment:
        """Return what a person confirms, as it is now."""
        settings = self.settings
        values: dict[str, Any] = settings.model_dump(mode="json")
        chosen = {
            f"{section}.{name}": str(value) for section in SECTIONS for name, value in values[section].items()
        }
        for name in VALUES:
            section, _, key = name.partition(".")
            chosen[name] = str(values[section][key])
        return Deployment(
            account=account,
            code=source_digest(CODE),
            settings=chosen,
            pairs=tuple(map(str, settings.market.pairs)),
            limits=values["risk"],
        )

    def _mode(self) -> Condition:
        mode = self.settings.venue.mode
        if self.is_asked_for:
            return Condition("mode", True, '[venue] mode = "live"')
        return Condition("mode", False, f'[venue] mode = "{mode}": "live" asks for real money')

    def _checked(self, account: str) -> Condition:
        found = self.accounts.check(account)
        if found is None:
            words = f"has not looked at account {account} yet: `marketloom doctor --live` does"
            return Condition("doctor", False, words)
        minutes = found.age_seconds / 60
        if found.problems:
            return Condition("doctor", False, f"found {minutes:.0f} min ago: {'; '.join(found.problems)}")
        if not 0 <= found.age_seconds <= CHECKED_WITHIN:
            words = f"looked {minutes:.0f} min ago: `marketloom dev` repeats it, `marketloom doctor --live` does it now"
            return Condition("doctor", False, words)
        return Condition("doctor", True, f"found nothing that blocks, {minutes:.0f} min ago")

    def _champions(self, pairs: Sequence[Pair]) -> Condition:
        champions = {pair: self.promotions.champion(pair) for pair in pairs or self.settings.market.pairs}
        if missing := [str(pair) for pair, policy in champions.items() if policy is None]:
            words = (
                f"no policy of {', '.join(missing)} has passed the gate (docs/gate.md): train and evaluate, or take it "
                "out of [market] pairs"
            )
            return Condition("champion", False, words)
        return Condition(
            "champion", True, ", ".join(f"{pair} {policy}" for pair, policy in champions.items())
        )

    def _confirmed(self, account: str) -> Condition:
        found = self.accounts.confirmation(account)
        if found is None:
            words = f"nobody has confirmed account {account}: `marketloom live confirm`"
            return Condition("confirmation", False, words)
        made = f"by {found.by} at {found.at:%Y-%m-%d %H:%M} UTC"
        if changed := changes(found.deployment, self.deployment(account)):
            words = f"was {made}, since then changed: {'; '.join(changed)}; `marketloom live confirm` again"
            return Condition("confirmation", False, words)
        return Condition("confirmation", True, made)
