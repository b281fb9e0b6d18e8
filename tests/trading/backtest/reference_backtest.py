"""A slow back-test that a person can read: candle after candle, rule after rule. The kernel must equal it.

Nothing of the kernel is shared: the arithmetic of fills and of margin is written out once more below.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from trading.backtest import AccountRules, Bars, OpenPosition, Plan

DAY = 86_400_000_000


def worse(side: float, half_spread: float, slippage: float) -> float:
    """Return the price paid per unit of the venue's price: more for a buyer, less for a seller."""
    return 1.0 + side * (half_spread + slippage)


def lost_per_unit(side: float, factor: float, fee: float) -> float:
    """A buyer pays price and fee for something worth 1, a seller receives less than the 1 that it is worth."""
    return side * (factor * (1.0 + side * fee) - 1.0)


def value_to_trade(equity: float, held: float, target: float, side: float, lost: float) -> float:
    """Return the value to trade so that target x (equity - costs) is held afterwards."""
    return abs(target * equity - held) / (1.0 + side * target * lost)


def liquidated_at(cash: float, quantity: float, entry: float, leverage: float, level: float) -> float:
    """Return the price at which equity is `level` of the margin: a long's is fixed, a short's grows with the price."""
    if quantity > 0:
        return max(level * entry / leverage - cash / quantity, 0.0)
    return max(cash / (-quantity * (1 + level / leverage)), 0.0)


@dataclass
class Position:
    direction: float
    entry_time: int
    entered: float = 0.0
    entry_price: float = 0.0
    left: float = 0.0
    exit_price: float = 0.0
    entry_fee: float = 0.0
    exit_fee: float = 0.0
    margin_cost: float = 0.0
    lent: float = 0.0
    borrowed_at: int = 0
    rollovers: int = 0
    stop: float = math.nan
    take_profit: float = math.nan
    trailing: float = math.nan  # distance in quote
    trail_from: float = math.nan
    best: float = math.nan
    trail: float = math.nan


@dataclass
class Reference:
    bars: Bars
    plan: Plan
    rules: AccountRules
    opening_equity: float = 1.0
    path: Bars | None = None
    opening: OpenPosition | None = None
    cash: float = 0.0
    quantity: float = 0.0
    position: Position | None = None
    carried: float = 0.0
    peak: float = 0.0
    drawdown: float = 0.0
    day_opening: float = 0.0
    day_closed: bool = False
    paused_at: int | None = None
    streak: int = 0
    resumes: float = -math.inf
    turnover: float = 0.0
    equity: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    fills: list[dict[str, Any]] = field(default_factory=list)
    trades: list[dict[str, Any]] = field(default_factory=list)
    daily: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    def run(self) -> "Reference":
        self.cash = self.peak = self.day_opening = self.opening_equity
        times = self.bars.open_time.tolist()
        if self.opening is not None:
            self._begin_with(self.opening)
        targets = self._targets()
        for candle, time in enumerate(times):
            if candle > 0 and time // DAY != times[candle - 1] // DAY:
                self.daily.append(self.equity[-1])
                self.day_opening, self.day_closed = self.equity[-1], False
            self._roll(time)
            target = targets[candle - 1] if candle > 0 else math.nan
            if self.plan.leaves is not None:
                self._vote(target, int(self.plan.leaves[candle - 1]) if candle > 0 else 0, candle, time)
            elif self._is_order(target):
                if self._order(target, candle, time):
                    self.carried = target
                elif self.position is None:
                    self.carried = 0.0
            elif self._asks_again(targets, candle):
                self.refused["earlier_exit"] = self.refused.get("earlier_exit", 0) + 1
            for row in self._rows(candle):
                if self.position is None:
                    break
                self._protect(*row)
            self._mark(candle)
        self.daily.append(self.equity[-1])
        if self.position is not None:
            self._add_exit(self.position, float(self.bars.close[-1]), abs(self.quantity))
            self._write_trade(self.position, times[-1], "end")
        return self

    def _begin_with(self, opening: OpenPosition) -> None:
        side = 1.0 if opening.quantity > 0 else -1.0
        best = opening.entry_price if math.isnan(opening.best_price) else opening.best_price
        position = self.position = Position(
            side,
            int(self.bars.open_time[0]),
            entered=abs(opening.quantity),
            entry_price=opening.entry_price,
            stop=opening.stop,
            take_profit=opening.take_profit,
            trailing=opening.trailing_distance,
            trail_from=opening.trailing_after,
            best=best,
        )
        self.quantity, self.carried = opening.quantity, math.nan
        self.cash -= opening.quantity * float(self.bars.open[0])
        if not math.isnan(position.trailing):
            self._trail(position)

    def _is_order(self, target: float) -> bool:
        return not math.isnan(target) and target != self.carried

    def _vote(self, target: float, leaves: int, candle: int, time: int) -> None:
        """As live: what is held is left or kept, and only a flat account enters."""
        if self.position is None:
            if not math.isnan(target) and target != 0:
                self._order(target, candle, time)
        elif leaves in ((1, 3) if self.quantity > 0 else (2, 3)):
            self._order(0.0, candle, time)

    def _asks_again(self, targets: list[float], candle: int) -> bool:
        """Return whether targets begin here that equal the last one carried out, whose position has ended."""
        if candle == 0 or self.position is not None:
            return False
        target = targets[candle - 1]
        begins = candle == 1 or target != targets[candle - 2]
        return begins and target == self.carried != 0.0

    def _targets(self) -> list[float]:
        target = self.plan.target
        return target.tolist() if isinstance(target, np.ndarray) else target.dense().tolist()

    def _rows(self, candle: int) -> list[tuple[int, float, float, float, int]]:
        """(time, open, high, low, length) of what is known to have happened inside the candle, in order."""
        bars, path = self.bars, self.path
        begin = int(bars.open_time[candle])
        whole = (float(bars.open[candle]), float(bars.high[candle]), float(bars.low[candle]))
        if path is not None and len(bars) > 1:
            inside = [row for row in range(len(path)) if begin <= path.open_time[row] < begin + bars.length]
            highest = max((path.high[row] for row in inside), default=None)
            lowest = min((path.low[row] for row in inside), default=None)
            if (highest, lowest) == whole[1:]:
                length = bars.length if len(inside) == 1 else path.length
                return [
                    (
                        int(path.open_time[r]),
                        float(path.open[r]),
                        float(path.high[r]),
                        float(path.low[r]),
                        length,
                    )
                    for r in inside
                ]
        return [(begin, *whole, bars.length)]

    def _mark(self, candle: int) -> None:
        equity = self.cash + self.quantity * float(self.bars.close[candle])
        self.equity.append(equity)
        self.held.append(self.quantity)
        self.peak = max(self.peak, equity)
        self.drawdown = max(self.drawdown, 1.0 - equity / self.peak)
        if self.paused_at is None and _fallen(equity, self.peak, self.rules.drawdown_pause):
            self.paused_at = int(self.bars.open_time[candle])
        if _fallen(equity, self.day_opening, self.rules.daily_loss):
            self.day_closed = True

    def _order(self, target: float, candle: int, time: int) -> bool:
        price = float(self.bars.open[candle])
        if self.position is not None and target * self.quantity <= 0:
            self._close(price, "signal", time, time)
            self.carried = 0.0
        if target == 0:
            return True
        equity = self.cash + self.quantity * price
        held = self.quantity * price
        side = 1.0 if target > 0 else -1.0
        if self.position is not None and side * (target * equity - held) <= 0:
            self._reduce(target, equity, held, price, side, time)
            return True
        rule = self._refusal(target, equity, time)
        if rule is not None:
            self.refused[rule] = self.refused.get(rule, 0) + 1
            return False
        self._enter(target, equity, held, price, side, time, candle - 1)
        return True

    def _refusal(self, target: float, equity: float, time: int) -> str | None:
        rules = self.rules
        largest = rules.leverage if rules.margin is not None else min(1.0, rules.leverage)
        verdicts = {
            "insolvent": equity <= 0,
            "shorts": target < 0 and not rules.shorts,
            "leverage": abs(target) > largest,
            "drawdown_pause": self.paused_at is not None,
            "daily_loss": self.day_closed,
            "cool_down": time < self.resumes,
        }
        return next((rule for rule, refused in verdicts.items() if refused), None)

    def _enter(
        self, target: float, equity: float, held: float, price: float, side: float, time: int, row: int
    ) -> None:
        costs, margin = self.rules.costs, self.rules.margin
        factor = worse(side, costs.half_spread, costs.slippage)
        lost = lost_per_unit(side, factor, self._taker_fee(time))
        lends = margin if target < 0 or target > 1 else None
        if lends is not None:
            lost += factor * lends.opening_fee
        value = value_to_trade(equity, held, target, side, lost)
        opens = self.position is None
        position = self.position = self.position or Position(side, time)
        bought = value / price
        paid, fee = self._fill(side * bought, price, "signal", time)
        if position.entered == 0.0:
            position.entry_price = paid
        else:
            sum_before = position.entry_price * position.entered
            position.entry_price = (sum_before + paid * bought) / (position.entered + bought)
        position.entered += bought
        position.entry_fee += fee
        if lends is not None:
            self._charge(position, bought * paid * lends.opening_fee)
            if position.lent == 0.0:
                position.borrowed_at, position.rollovers = time, 0
            position.lent += bought * paid
        if opens:
            self._set_levels(position, paid, row)

    def _set_levels(self, position: Position, paid: float, row: int) -> None:
        stop, take_profit, trailing = (
            _distance(distance, row)
            for distance in (self.plan.stop, self.plan.take_profit, self.plan.trailing)
        )
        side = position.direction
        if stop is not None:
            position.stop = paid * (1.0 - side * stop)
        if take_profit is not None:
            position.take_profit = paid * (1.0 + side * take_profit)
        if trailing is not None:
            position.trailing = paid * trailing
            risked = trailing if stop is None else stop
            position.trail_from = paid * (1.0 + side * (self.rules.trailing_after * risked))
            position.best = paid
            self._trail(position)

    def _trail(self, position: Position) -> None:
        if position.direction * (position.best - position.trail_from) >= 0:
            position.trail = position.best - position.direction * position.trailing

    def _reduce(
        self, target: float, equity: float, held: float, price: float, side: float, time: int
    ) -> None:
        costs = self.rules.costs
        factor = worse(-side, costs.half_spread, costs.slippage)
        lost = lost_per_unit(-side, factor, self._taker_fee(time))
        sold = value_to_trade(equity, held, target, -side, lost) / price
        if sold >= abs(self.quantity):
            self._close(price, "signal", time, time)
        elif sold > 0:
            self._leave(-side * sold, price, "signal", time)

    def _protect(self, time: int, opened: float, high: float, low: float, length: int) -> None:
        """Exit where a row touches a level: at its open when it is already beyond, else stop before target."""
        position = self.position
        assert position is not None
        long = position.direction > 0
        protective = [
            (level, rank, reason)
            for rank, reason, level in (
                (2, "liquidation", self._liquidation(position)),
                (0, "trailing", position.trail),
                (1, "stop", position.stop),
            )
            if not math.isnan(level)
        ]
        best_first = max if long else min
        level, _, reason = best_first(
            protective,
            key=lambda found: (found[0], found[1] if long else -found[1]),
            default=(math.nan, 0, ""),
        )
        target = position.take_profit

        def beyond(price: float, mark: float, below: bool) -> bool:
            return price <= mark if below else price >= mark

        stopped = (opened, reason, beyond(opened, level, long))
        targeted = (opened, "take_profit", beyond(opened, target, not long))
        hits = [
            # the open comes first, whatever else the row did; its lower level is looked at first
            *((stopped, targeted) if long else (targeted, stopped)),
            (level, reason, beyond(low if long else high, level, long)),
            (target, "take_profit", beyond(high if long else low, target, not long)),
        ]
        for price, why, touched in hits:
            if touched:
                self._close(price, why, time, time if price == opened else time + length)
                return
        extreme = high if long else low
        if not math.isnan(position.trailing) and position.direction * (extreme - position.best) > 0:
            position.best = extreme
            self._trail(position)

    def _liquidation(self, position: Position) -> float:
        margin = self.rules.margin
        if position.lent == 0.0 or margin is None:
            return math.nan
        entry = position.lent / self.quantity if self.quantity > 0 else 0.0
        return liquidated_at(
            self.cash, self.quantity, entry, float(self.rules.leverage), margin.liquidation_level
        )

    def _close(self, reference: float, reason: str, time: int, known: int) -> None:
        self._roll(known)
        position = self.position
        assert position is not None
        self._leave(-self.quantity, reference, reason, time)
        self.position = None
        pnl = self._write_trade(position, time, reason)
        self.streak = self.streak + 1 if pnl < 0 else 0
        if self.rules.losing_streak and self.streak >= self.rules.losing_streak:
            self.streak = 0
            minimum = known + round(self.rules.cool_down.total_seconds() * 1e6)
            opened = max(begin for begin in self.bars.open_time.tolist() if begin <= time)
            # Decisions: the candle of the loss closes with the first of them.
            refused = self.rules.cool_down_candles
            self.resumes = max(minimum, opened + (refused + 1) * self.bars.length)

    def _leave(self, quantity: float, reference: float, reason: str, time: int) -> None:
        position = self.position
        assert position is not None
        before = self.quantity
        price, fee = self._fill(quantity, reference, reason, time)
        self._add_exit(position, price, abs(quantity))
        position.exit_fee += fee
        position.lent *= self.quantity / before

    def _add_exit(self, position: Position, price: float, quantity: float) -> None:
        if position.left == 0.0:
            position.exit_price = price
        else:
            before = position.exit_price * position.left
            position.exit_price = (before + price * quantity) / (position.left + quantity)
        position.left += quantity

    def _taker_fee(self, time: int) -> float:
        day = datetime.fromtimestamp(time / 1e6, UTC).date()
        fee = self.rules.taker_fees[0][1] if self.rules.taker_fees else self.rules.costs.taker_fee
        for begins, later in self.rules.taker_fees:
            if begins <= day:
                fee = later
        return fee

    def _fill(self, quantity: float, reference: float, reason: str, time: int) -> tuple[float, float]:
        costs = self.rules.costs
        equity = self.cash + self.quantity * reference
        if equity > 0:
            self.turnover += abs(quantity) * reference / equity
        price = reference * worse(1.0 if quantity > 0 else -1.0, costs.half_spread, costs.slippage)
        fee = abs(quantity) * price * self._taker_fee(time)
        self.cash -= quantity * price + fee
        self.quantity += quantity
        self.fills.append(
            {"time": time, "quantity": quantity, "price": price, "fee": fee, "held": self.quantity, "reason": reason}
        )  # fmt: skip
        return price, fee

    def _write_trade(self, position: Position, time: int, reason: str) -> float:
        pnl = position.direction * (position.exit_price - position.entry_price) * position.entered
        pnl -= position.entry_fee + position.exit_fee + position.margin_cost
        self.trades.append(
            {
                "quantity": position.entered,
                "entry_price": position.entry_price,
                "exit_price": position.exit_price,
                "entry_fee": position.entry_fee,
                "exit_fee": position.exit_fee,
                "margin_cost": position.margin_cost,
                "pnl": pnl,
                "entry_time": position.entry_time,
                "exit_time": time,
                "direction": int(position.direction),
                "reason": reason,
            }
        )
        return pnl

    def _charge(self, position: Position, cost: float) -> None:
        self.cash -= cost
        position.margin_cost += cost

    def _roll(self, time: int) -> None:
        position, margin = self.position, self.rules.margin
        if position is None or margin is None or position.lent == 0.0:
            return
        period = round(margin.rollover_hours * 3600 * 1e6)
        periods = max((time - position.borrowed_at) // period, 0)
        if periods > position.rollovers:
            due = periods - position.rollovers
            self._charge(position, position.lent * margin.rollover_fee * due)
            position.rollovers = periods


def _fallen(equity: float, reference: float, share: float) -> bool:
    return share != math.inf and equity <= reference * (1.0 - share)


def _distance(distance: Any, row: int) -> float | None:
    value = float(distance if np.ndim(distance) == 0 else distance[row])
    return value if math.isfinite(value) else None
