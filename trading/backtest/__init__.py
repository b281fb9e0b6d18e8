"""Back-tests: follow plans through candles, with every rule of the account on.

An order arises, is executed and priced like this:

* What is decided at the close of candle i is executed at the open of candle i + 1, at the price that every fill
  in this project has (trading.fills): the worse side of spread and slippage, taker fee on top. The target is
  reached after these costs, so going from 0 to 1 spends all cash.
* A target is an order when it differs from the last one carried out. A turn is two fills, out and in. To reduce or
  to leave is always allowed; to open or to enlarge may be refused, and then it was not carried out. A plan with
  `leaves` is read as live decisions are made: it enters while flat, and leaves what is held, never both in one step.
* Inside a candle only protection trades. Its levels come from the price that was paid, so they are live after
  the open of the candle that the position was opened in. A row that opens beyond a level fills at its open.
  One that touches both sides later is taken as stopped: the order inside is not known, the worse one counts.
  With `path`, finer candles or trades, it is known and followed.
* Trailing: once the best price has gained `trailing_after` times the amount risked (the stop's distance, the
  trailing distance itself where there is no stop), the level stays `trailing` below it. The level inside a row
  comes from the rows before it.
* On margin (a short, or exposure above 1) the opening fee is paid on the value lent, rollovers at the first open
  at or after they are due, and the venue closes the position at its liquidation level. Of liquidation, stop and
  trailing level the one nearest to the price is met first.

An entry is refused, in this order: when no equity is left; when it is short and none is allowed; when it is
beyond the leverage, or beyond 1 without margin; after equity at a close was `drawdown_pause` below its peak, until
the end; after it was `daily_loss` below the UTC day's opening equity, until the next day; after `losing_streak`
losses in a row, for `cool_down` and at least `cool_down_candles` decisions, and then the count begins anew. An
exit inside a candle counts for time rules and rollovers as if it had come at the candle's end.

A position that is open at the end is marked at the last close, not sold. Importing this package compiles
nothing: `run` and `sweep` load Numba when they are first called.
"""

from trading.backtest.bars import Bars
from trading.backtest.decisions import Decisions
from trading.backtest.engine import Sweep, run, sweep
from trading.backtest.exposure import ExposureResult, holding_prices, run_exposures, step
from trading.backtest.plan import LEAVE_LONG, LEAVE_SHORT, AccountRules, Margin, OpenPosition, Plan
from trading.backtest.result import FILL_SCHEMA, TRADE_SCHEMA, Backtest, Totals

__all__ = [
    "FILL_SCHEMA",
    "LEAVE_LONG",
    "LEAVE_SHORT",
    "TRADE_SCHEMA",
    "AccountRules",
    "Backtest",
    "Bars",
    "Decisions",
    "ExposureResult",
    "Margin",
    "OpenPosition",
    "Plan",
    "Sweep",
    "Totals",
    "holding_prices",
    "run",
    "run_exposures",
    "step",
    "sweep",
]
