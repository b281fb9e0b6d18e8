"""What news add in money: the same decision with fewer votes, back-tested over the same candles, net of cost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ml.backtests import Backtester
from trading.backtest import Backtest, Bars, run
from trading.errors import InvalidValue
from trading.market import Pair
from trading.strategies import hold_plan

# Places of the agents in `AgentHistory`: technical, quant, analyst. All are asked after the same candles.
VARIANTS: Mapping[str, tuple[int, ...]] = {
    "policy alone": (1,),
    "policy and sentiment": (1, 2),
    "full consensus": (0, 1, 2),
}


@dataclass(frozen=True, slots=True)
class Value:
    """What one set of votes earned on a pair; shares of the opening equity, after all costs."""

    pair: str
    variant: str
    first: datetime  # close of the first and the last candle
    last: datetime
    candles: int
    trades: int
    earned: float
    fees: float
    max_drawdown: float


def values(tester: Backtester, pair: Pair, start: datetime | None, end: datetime | None) -> list[Value]:
    """Back-test each variant, and buying and holding, on the stored candles with start <= open_time < end.

    Cash earns 0. Tones of news are those that were stored, whoever judged them. NotStored naming what to materialise.
    """
    library = tester.library
    if library.known is None:
        raise InvalidValue("champions and news lie in PostgreSQL, and this back-test was built without it")
    table = library.table(pair, start, end)
    agents = library.decisions.every_agent(pair, table, library.known)
    bars = Bars.of(table)

    def results() -> Iterator[tuple[str, Backtest]]:
        for name, places in VARIANTS.items():
            plan = library.decisions.plan(pair, table, agents.of(*places))
            yield name, run(bars, plan, tester.rules[pair])
        if agents.are_weighed:
            plan = library.decisions.plan(pair, table, agents.unweighed())
            yield "every vote alike", run(bars, plan, tester.rules[pair])
        yield "buy and hold", run(bars, hold_plan(table.height), tester.unrestricted(pair))

    closes = table["close_time"]
    return [
        Value(
            pair=str(pair),
            variant=name,
            first=closes[0],
            last=closes[-1],
            candles=table.height,
            trades=result.totals.trades,
            earned=result.totals.total_return,
            fees=result.totals.fees,
            max_drawdown=result.totals.max_drawdown,
        )
        for name, result in results()
    ]
