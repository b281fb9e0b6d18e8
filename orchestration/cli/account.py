"""Commands about what is stored and about the account: status, portfolio, kill, reconcile, resume, doctor."""

from typing import Annotated

import typer

from orchestration.cli.output import AsJson, examples, out
from orchestration.json_output import print_json, write_line

commands = typer.Typer()


@commands.command(epilog=examples("status", "status --watch", "status --watch --json", "status --json"))
def status(
    watched: Annotated[
        bool,
        typer.Option(
            "--watch", help="The market monitor: stream, prices, gaps, consumers, each second until Ctrl-C."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is stored: candles, features, folds, champion, decisions, balances; and whether a stream runs."""
    if watched:
        from orchestration.commands.status_watch import watch_status

        return watch_status(out, write_line if as_json else None)
    from orchestration.commands.status import read_status, show

    facts = read_status()
    return print_json(facts) if as_json else show(facts, out)


@commands.command(epilog=examples("portfolio", "portfolio --since 2024-09-01"))
def portfolio(
    since: Annotated[
        str,
        typer.Option(help="UTC day or time: every snapshot from then on; without, the newest of each day."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show money over time: equity and why it moved, fees, open positions, trades, and the stored snapshots."""
    from ml.backtests import parse_utc
    from orchestration.commands.portfolio import read_portfolio, show

    facts = read_portfolio(parse_utc(since))
    print_json(facts) if as_json else show(facts, out)


@commands.command(
    epilog=examples("kill --reason 'prices look wrong'", "kill --flatten --reason 'leaving the market'")
)
def kill(
    reason: Annotated[str, typer.Option(help="Why; it is kept with your name.")] = "no reason given",
    flatten: Annotated[bool, typer.Option("--flatten", help="Close every position too.")] = False,
    by: Annotated[str, typer.Option(help="Who says so; your user name without.")] = "",
    as_json: AsJson = False,
) -> None:
    """Stop opening positions at once and cancel entries that wait; stops stay. `marketloom resume` ends it."""
    from orchestration.commands.kill import kill_trading, show

    facts = kill_trading(reason, flatten, by)
    print_json(facts) if as_json else show(facts, out)


@commands.command(
    epilog=examples(
        "reconcile",
        "reconcile --adopt --reason 'sold by hand at the venue'",
        "reconcile --flatten --reason 'another program used the key'",
    )
)
def reconcile(
    adopt: Annotated[bool, typer.Option("--adopt", help="The venue is right: book what it has.")] = False,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Close every position, then book what the venue has.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on, if the books agree again by now.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it is kept with your name.")] = "",
    by: Annotated[str, typer.Option(help="Who says so; your user name without.")] = "",
    as_json: AsJson = False,
) -> None:
    """Compare the ledger with the venue's books, and decide about what nobody can explain."""
    from orchestration.commands.reconcile import Choice, reconcile_account, show

    chosen = [
        choice
        for choice, wanted in ((Choice.ADOPT, adopt), (Choice.FLATTEN, flatten), (Choice.RESUME, resume))
        if wanted
    ]
    if len(chosen) > 1:
        raise typer.BadParameter("choose one of --adopt, --flatten and --resume")
    facts = reconcile_account(chosen[0] if chosen else Choice.LOOK, reason, by)
    print_json(facts) if as_json else show(facts, out)
    if not facts["agrees"]:
        raise typer.Exit(1)


@commands.command(epilog=examples("resume --reason 'the feed was wrong, prices are right again'"))
def resume(
    reason: Annotated[str, typer.Option(help="Why trading may go on; it is kept with your name.")],
    account: Annotated[str, typer.Option(help="Without: the account of the chosen data.")] = "",
    by: Annotated[str, typer.Option(help="Who says so; your user name without.")] = "",
    as_json: AsJson = False,
) -> None:
    """End a pause: after a drawdown (counted from the equity of now on), a kill, or a position without a stop."""
    from orchestration.commands.resume import resume_trading, show

    facts = resume_trading(reason, account, by)
    print_json(facts) if as_json else show(facts, out)


@commands.command(epilog=examples("doctor", "doctor --live", "doctor --json"))
def doctor(
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Also the account that orders go to: key, clock, limits, orders, balances."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check everything Marketloom needs and say what to do where something is missing."""
    from orchestration.commands.doctor import examine, show

    findings = examine(live)
    if as_json:
        print_json([finding.as_json() for finding in findings])
    else:
        show(findings, out)
    if any(finding.blocks for finding in findings):
        raise typer.Exit(1)
