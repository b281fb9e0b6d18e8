"""The balance history: the account minute by minute, as the stream's guard has written it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg

from assets.check_scope import broken, run_days, run_partitions, verdict
from assets.decisions import decision
from assets.metadata_numbers import readable
from assets.metadata_plots import line_plot
from assets.metadata_tables import shown_table
from assets.partitions import DAYS, MONTH_OF_DAY, days
from assets.tape import MARKET_TAPE
from ml.decision.clock import Clock
from trading.account import Account
from trading.account_minute import MINUTE, AccountMinute, missing_minutes
from trading.market import Timeframe
from trading.portfolio import equity
from trading.portfolio.exact import exactly, trim_zeros
from trading.ports import BalanceHistory, Journal

DAY = timedelta(days=1)
SHOWN_DAYS = 14  # whose ends are listed
SHOWN_GAPS = 20  # the longest
FIGURES = (
    "equity", "realised_pnl", "unrealised_pnl", "fees", "gross_exposure", "net_exposure", "drawdown",
)  # fmt: skip


@dg.asset(
    partitions_def=DAYS,
    group_name="trading",
    kinds={"postgres"},
    owners=["team:trading"],
    code_version="1",
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    deps=[
        dg.AssetDep(decision, partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep(MARKET_TAPE, partition_mapping=MONTH_OF_DAY),
    ],
)
def balance_history(
    context: dg.AssetExecutionContext,
    account: dg.ResourceParam[Account],
    journal: dg.ResourceParam[Journal],
    clock: dg.ResourceParam[Clock],
    account_minutes: dg.ResourceParam[BalanceHistory],
) -> dg.MaterializeResult[None]:
    """Show a day of the account's minutes: equity, exposure and drawdown over time, and what the day ended with.

    The rows are the stream's: its guard writes one at the end of each minute. Nothing is made up for a minute in which
    no stream ran, or whose prices nobody saw.
    """
    start, end = days([context.partition_key])
    minutes = account_minutes.minutes(account.name, start, end)
    span = _span(start, end, journal.opened_at(account.name), clock().at)
    missing = missing_minutes(minutes, *span)
    context.log.info(f"{account.name}: {len(minutes)} minutes of {start:%Y-%m-%d} are there")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(minutes),
            "missing_minutes": sum((until - since) // MINUTE for since, until in missing),
            "unpriced_minutes": sum(each.equity is None for each in minutes),
            "missing": _gaps_table(missing),
            "day_ends": _ends_table(account_minutes.day_ends(account.name, end, SHOWN_DAYS)),
            **(_last_minute(minutes[-1]) | _plots(account, minutes, span) if minutes else {}),
        }
    )


def _span(start: datetime, end: datetime, opened_at: datetime, now: datetime) -> tuple[datetime, datetime]:
    """Return the minutes of the day that could have been written: since the opening, and up to the one before now."""
    first = max(start, Timeframe.M1.ceil(opened_at))
    return first, max(first, min(end, Timeframe.M1.floor(now) - MINUTE))


def _last_minute(last: AccountMinute) -> dict[str, Any]:
    known = {name: getattr(last, name) for name in FIGURES}
    return {
        "at": dg.MetadataValue.timestamp(last.at),
        **{name: readable(float(value)) for name, value in known.items() if value is not None},
        "open_positions": len(last.positions),
        "unseen": dg.MetadataValue.json({str(pair): why for pair, why in last.unseen.items()}),
        "balances": shown_table(
            ("asset", "amount", f"value in {last.quote}"),
            [
                *((name, _exact(each.amount), _cell(each.value)) for name, each in last.balances.items()),
                *((name, _exact(amount), "no pair prices it") for name, amount in last.left_out.items()),
            ],
        ),
        "open": shown_table(
            ("pair", "quantity", "average cost", "price", f"unrealised, {last.quote}", "open since"),
            [
                (
                    str(each.pair),
                    _exact(each.quantity),
                    _cell(each.entry_price),
                    _cell(each.price),
                    _cell(each.unrealised_pnl, sign="+"),
                    f"{each.opened_at:%Y-%m-%d %H:%M}",
                )
                for each in last.positions
            ],
        ),
    }


def _plots(
    account: Account, minutes: Sequence[AccountMinute], span: tuple[datetime, datetime]
) -> dict[str, dg.MarkdownMetadataValue]:
    """Draw the day; red is where no value is known."""
    time = [each.minute + MINUTE for each in minutes]
    unknown = missing_minutes([each for each in minutes if each.equity is not None], *span)
    name, quote = account.name, account.quote

    def plot(title: str, lines: Mapping[str, str], factor: float = 1.0) -> dg.MarkdownMetadataValue:
        values = {
            label: [_number(getattr(each, figure)) * factor + 0.0 for each in minutes]  # no -0
            for label, figure in lines.items()
        }
        return line_plot(f"{title} of {name}", time, values, shaded=unknown)

    return {
        "equity_by_minute": plot(f"Equity in {quote}", {"equity": "equity"}),
        "unrealised_by_minute": plot(f"Unrealised result in {quote}", {"unrealised": "unrealised_pnl"}),
        "exposure_by_minute": plot(
            f"Exposure in {quote}", {"gross": "gross_exposure", "net": "net_exposure"}
        ),
        "drawdown_by_minute": plot("Drawdown", {"% below the peak": "drawdown"}, factor=-100.0),
    }


def _gaps_table(missing: Sequence[tuple[datetime, datetime]]) -> dg.TableMetadataValue:
    longest = sorted(missing, key=lambda gap: gap[0] - gap[1])[:SHOWN_GAPS]
    return shown_table(
        ("from", "to", "minutes"),
        [
            (f"{since:%H:%M}", f"{until:%H:%M}", str((until - since) // MINUTE))
            for since, until in sorted(longest)
        ],
    )


def _ends_table(ends: Sequence[AccountMinute]) -> dg.TableMetadataValue:
    """Show what each day ended with, newest first: so narrow that the UI cuts no column off."""
    return shown_table(
        ("last minute", "equity", "realised", "unrealised", "fees", "gross", "net", "drawdown"),
        [
            (
                f"{each.minute:%m-%d %H:%M}",
                *(_cell(getattr(each, name)) for name in FIGURES[:-1]),
                "unknown" if each.drawdown is None else f"{each.drawdown:.2%}",
            )
            for each in reversed(ends)
        ],
    )


def _number(value: Decimal | None) -> float:
    return float("nan") if value is None else float(value)


def _cell(value: Decimal | None, sign: str = "") -> str:
    return "unknown" if value is None else f"{readable(float(value)):{sign},}".removesuffix(".0")


def _exact(amount: Decimal) -> str:
    return f"{trim_zeros(amount):f}"


@dg.asset_check(
    asset=balance_history,
    description="Equity is the sum of its balances, and the last minute of each day is the ledger's.",
)
def minutes_agree_with_the_ledger(
    context: dg.AssetCheckExecutionContext,
    account: dg.ResourceParam[Account],
    clock: dg.ResourceParam[Clock],
    account_minutes: dg.ResourceParam[BalanceHistory],
) -> dg.AssetCheckResult:
    """Compare with the ledger as it was when the minute was written: what was booked later is no fault."""
    if run_partitions(context) is None:  # a check alone: the newest days, for there may be years
        today = days([str(clock().at.date())])
        span = today[0] - (SHOWN_DAYS - 1) * DAY, today[1]
    else:
        span = run_days(context)
    minutes = account_minutes.minutes(account.name, *span)
    last_of_day = {each.minute.date(): each for each in minutes}
    faults = {f"{each.minute:%Y-%m-%d %H:%M}": _minute_faults(each) for each in minutes}
    for day, last in last_of_day.items():
        faults[f"{day}, against the ledger"] = _ledger_faults(last, account_minutes)
    return verdict(faults, minutes=len(minutes), compared_with_the_ledger=len(last_of_day))


def _minute_faults(minute: AccountMinute) -> list[str]:
    values = [each.value for each in minute.balances.values()]
    known = [each for each in values if each is not None]
    with exactly():
        total = sum(known, Decimal(0)) if len(known) == len(values) else None
    return broken(
        {
            "equity is not the sum of its balances": minute.equity != total,
            "the peak is below the equity": minute.equity is not None
            and (minute.peak_equity is None or minute.peak_equity < minute.equity),
        }
    )


def _ledger_faults(minute: AccountMinute, history: BalanceHistory) -> list[str]:
    booked = history.ledger_balances(minute.account, minute.at, minute.newest_entry)
    written = {name: each.amount for name, each in minute.balances.items()} | dict(minute.left_out)
    priced = {name: amount for name, amount in booked.items() if name not in minute.left_out}
    wrong_value = minute.equity is not None and minute.equity != equity(priced, minute.quote, minute.prices)
    return broken(
        {
            f"the ledger had {_amounts(booked)}, not {_amounts(written)}": written != booked,
            "the ledger's balances are not worth the equity at these prices": written == booked
            and wrong_value,
        }
    )


def _amounts(balances: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{_exact(amount)} {name}" for name, amount in sorted(balances.items())) or "nothing"
