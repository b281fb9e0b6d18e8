"""A desk whose analyst is a model that obeys strangers, over a simulated market: what an attack changes, and costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.agents.consensus import consensus
from ml.agents.history import technical_history
from ml.agents.model_analyst import ModelAnalyst
from ml.agents.news_analyst import NewsView, news_opinion
from ml.agents.opinions import Action, Opinion
from ml.agents.votes import ABSTAINS, ACTIONS
from ml.news.recent import NewsItem
from tests.ml.agents.attack_menu import Attack, Obedient
from tests.ml.decision.trading_day import PAIR, RULES
from tests.ml.models.scripted import client_of
from trading.backtest import LEAVE_LONG, LEAVE_SHORT, AccountRules, Backtest, Bars, Plan, run
from trading.fills import Costs
from trading.indicators import feature_table
from trading.market import Pair, Timeframe
from trading.signals import protective_distances, signal_table
from trading.simulation.market import SimulatedMarket
from trading.strategies import Entries, vote_plan

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WRONG = 0
CAPITAL = 1000.0  # in quote
WARM_UP = 1000  # candles until every feature is known
SIDES: tuple[Action | None, ...] = (None, Action.LONG, Action.SHORT)
ACCOUNT = AccountRules(
    costs=Costs(0.004, 0.0001, 0.0002), drawdown_pause=0.1, daily_loss=0.03,
    losing_streak=5, cool_down=timedelta(minutes=30), cool_down_candles=1, trailing_after=1.5, leverage=1.0,
    shorts=True, margin=None,
)  # fmt: skip


@dataclass(frozen=True)
class Press:
    """One honest article per candle, on the side of the last day, and the attacker's beside it."""

    rises: Mapping[datetime, bool]  # by close time: higher than a day before
    falls_then: Mapping[datetime, bool]  # lower a day later
    attack: Attack | None
    side: int  # that the attacker pushes to; WRONG: each time the one that will lose, as only a seer could

    def articles(self, pair: Pair, at: datetime) -> list[NewsItem]:
        number, word = (at - BEGIN) // HOUR, "gains" if self.rises[at] else "slips"
        honest = NewsItem(f"honest{number:010d}", at - HOUR, "wire", f"{pair.base} {word} on the day", "")
        if self.attack is None:
            return [honest]
        side = self.side or (1 if self.falls_then[at] else -1)
        title, text = self.attack.write(str(pair), side)
        return [NewsItem(f"attack{number:010d}", at - HOUR / 2, "blog", title, text), honest]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What the desk, and a model that nobody outvotes, did on every candle."""

    analyst: list[Opinion]
    plan: Plan
    result: Backtest
    alone: Backtest

    @property
    def earned(self) -> float:
        return CAPITAL * (float(self.result.equity[-1]) - 1)

    @property
    def earned_alone(self) -> float:
        return CAPITAL * (float(self.alone.equity[-1]) - 1)


class Desk:
    def __init__(self, hours: int, seed: int = 8) -> None:
        self._runs: dict[tuple[str | None, int], Outcome] = {}
        market = SimulatedMarket((PAIR,), Timeframe.H1, seed, BEGIN, BEGIN + (WARM_UP + hours) * HOUR)
        candles = market.candles(PAIR, BEGIN, BEGIN + (WARM_UP + hours) * HOUR)
        features = feature_table(candles, Timeframe.H1)
        close, times = candles["close"], candles["close_time"]
        self.rises = dict(zip(times, close >= close.shift(24, fill_value=0.0), strict=True))
        self.falls_then = dict(zip(times, close.shift(-24, fill_value=0.0) < close, strict=True))
        self.candles, self.features = candles[WARM_UP:], features[WARM_UP:]
        self.technical = technical_history(
            signal_table(self.features, self.candles["close"].to_numpy(), RULES.signals)
        )

    @property
    def clean(self) -> Outcome:
        return self.under(None, 1)

    def under(self, attack: Attack | None, side: int) -> Outcome:
        """Let the desk decide on every candle while an attacker pushes to a side; the same attack is the same run."""
        key = attack and attack.name, side
        if key not in self._runs:
            self._runs[key] = self._run(attack, side)
        return self._runs[key]

    def _run(self, attack: Attack | None, side: int) -> Outcome:
        press = Press(self.rises, self.falls_then, attack, side)
        client = client_of(Obedient(), NewsView)
        ask = ModelAnalyst(press, lambda: client)
        analyst = [self._opinion(ask, at) for at in self.candles["close_time"]]
        plan = self._plan(*self._decided([[each] for each in analyst]))
        votes = np.array([{"LONG": 1.0, "SHORT": -1.0}.get(str(each.action), 0.0) for each in analyst])
        alone = self._plan(votes, votes < 0, votes > 0)
        bars = Bars.of(self.candles)
        return Outcome(analyst, plan, run(bars, plan, ACCOUNT), run(bars, alone, ACCOUNT))

    def _opinion(self, ask: ModelAnalyst, at: datetime) -> Opinion:
        question: Any = SimpleNamespace(pair=PAIR, at=at)
        return news_opinion(ask(question), PAIR, at, RULES.analyst)

    def voted(self, opinions: Sequence[Sequence[Opinion]]) -> tuple[Plan, Backtest]:
        """Return what the desk does where these vote beside the technical agent after each candle."""
        plan = self._plan(*self._decided(opinions))
        return plan, run(Bars.of(self.candles), plan, ACCOUNT)

    def _decided(self, opinions: Sequence[Sequence[Opinion]]) -> tuple[npt.NDArray[Any], ...]:
        """Return the side that is entered after each candle, and where an open long, or short, is left."""
        chosen = np.array([list(self._actions(row, each)) for row, each in enumerate(opinions)], dtype=object)
        entry = np.select([chosen[:, 0] == Action.LONG, chosen[:, 0] == Action.SHORT], [1.0, -1.0], 0.0)
        entry[~np.isin(self.technical.actions, [ACTIONS.index(Action.LONG), ACTIONS.index(Action.SHORT)])] = (
            0.0
        )
        return entry, chosen[:, 1] == Action.CLOSE, chosen[:, 2] == Action.CLOSE

    def _actions(self, row: int, others: Sequence[Opinion]) -> Iterator[Action]:
        code = self.technical.actions[row]
        action = None if code == ABSTAINS else ACTIONS[code]
        technical = Opinion("technical", "rules", action, float(self.technical.confidences[row]), "", {})
        for held in SIDES:
            yield consensus([technical, *others], RULES.consensus, held).action

    def _plan(self, entry: npt.NDArray[Any], out_of_long: Any, out_of_short: Any) -> Plan:
        closes = self.candles["close"].to_numpy()
        stop, target = protective_distances(entry, closes, self.features, RULES.signals)
        entries = Entries(entry, stop, target, np.zeros(len(entry), bool))
        correlation = self.features["btc_correlation"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        leaves = LEAVE_LONG * out_of_long + LEAVE_SHORT * out_of_short
        known = None if PAIR.base == "BTC" else correlation
        return vote_plan(entries, leaves=leaves.astype(np.int8), limits=RULES.limits, btc_correlation=known)

    # --- what an attack has done

    def entries_changed(self, attacked: Outcome) -> float:
        """Return the share of the entries that are wanted with or without the attack, but not in both cases."""
        ours, theirs = (np.nan_to_num(np.asarray(each.plan.target)) for each in (self.clean, attacked))
        wanted = (ours != 0) | (theirs != 0)
        return float((ours != theirs)[wanted].mean()) if wanted.any() else 0.0

    def positions_changed(self, attacked: Outcome) -> float:
        """Return the share of candles over which another side is held than without the attack."""
        return float((self._held(self.clean) != self._held(attacked)).mean())

    def _held(self, outcome: Outcome) -> npt.NDArray[Any]:
        opened = self.candles["open_time"].to_list()
        held = np.zeros(len(opened))
        for trade in outcome.result.trades.iter_rows(named=True):
            inside = [trade["entry_time"] <= at < trade["exit_time"] for at in opened]
            held[inside] = 1.0 if trade["direction"] == "long" else -1.0
        return held

    def passed_limits(self, attacked: Outcome) -> int:
        """Count entries beyond a limit, without protection, or against the technical signal."""
        plan, limits = attacked.plan, RULES.limits
        target, stop, take_profit = (np.asarray(each) for each in (plan.target, plan.stop, plan.take_profit))
        entered = np.isfinite(target) & (target != 0)
        sides = {ACTIONS.index(Action.LONG): 1.0, ACTIONS.index(Action.SHORT): -1.0}
        signal = np.array([sides.get(int(code), 0.0) for code in self.technical.actions])
        sound = (
            (np.abs(target) <= limits.position_cap + 1e-12)
            & (np.abs(target) * stop <= limits.risk_per_trade + 1e-12)
            & (stop > 0)
            & (stop <= limits.stop_distance)
            & (take_profit >= limits.reward_risk * stop)
            & (np.sign(target) == signal)
        )
        return int((entered & ~sound).sum())
