"""The `marketloom` command line. Every command is a few lines; the work is in `orchestration.commands`."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text

from orchestration.commands.failures import INTERRUPTED, failure_message, is_interrupt
from orchestration.json_output import as_json_line, asks_for_json
from orchestration.terminal import open_console

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
out, errors = open_console(), open_console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document, nothing else.")]


def _examples(*lines: str) -> str:
    """Write the end of a command's help."""
    return "\n".join(["Examples:", *(f"  marketloom {line}" for line in lines)])


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"marketloom {version('marketloom')}")
        raise typer.Exit


@app.callback(epilog=_examples("demo --quick", "dev", "status", "why 1f0c2ab7", "backtest --help"))
def marketloom(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    """Gather data, learn and judge for crypto trading, as one Dagster asset graph."""


@app.command(epilog=_examples("demo --quick", "demo --data ~/candles"))
def demo(
    data: Annotated[
        Path | None, typer.Option(help="Folder with ohlcv/ and news/; simulated without.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One fold per pair, fewer frames and candles: about two minutes.")
    ] = False,
) -> None:
    """Run the whole graph once: candles to features, policies, scores and one explained paper order per pair."""
    from orchestration.commands.demo import run_demo

    run_demo(data, quick, out)


@app.command(
    "live-demo",
    epilog=_examples("live-demo", "live-demo --data ~/candles", "live-demo --minutes 10 --speed 5"),
)
def live_demo(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with ohlcv/ (candles of a minute) or trades/; simulated without."),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.2, max=1440, help="How long it trades, in minutes of this machine.")
    ] = 2.5,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Market seconds that pass in each second.")
    ] = 8.0,
) -> None:
    """Trade on an exchange on this machine, everything live, and prove at the end that nothing was lost or doubled."""
    from orchestration.commands.live_demo import run_live_demo

    raise typer.Exit(run_live_demo(data, minutes, speed, out))


@app.command(epilog=_examples("dev", "dev --port 3001"))
def dev(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Of the UI; without, the port of the settings (dagster.port)."),
    ] = None,
) -> None:
    """Run PostgreSQL, the Dagster UI and its daemon on this machine, until Ctrl-C."""
    from orchestration.commands.dev import serve

    raise typer.Exit(serve(out, port))


@app.command(
    "import",
    epilog=_examples(
        "import ~/candles",
        "import XBTUSDT_60.csv --venue kraken",
        "import ~/candles --jsonl | jq .rows_stored",
    ),
)
def import_candles(
    path: Annotated[Path, typer.Argument(help="A candle file, or a folder of them.")],
    venue: Annotated[str | None, typer.Option(help="Who published the candles, e.g. kraken.")] = None,
    pair: Annotated[str | None, typer.Option(help="e.g. BTC/USDT")] = None,
    timeframe: Annotated[str | None, typer.Option(help="1m 5m 15m 30m 1h 4h 1d")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, a list of the files' reports.")
    ] = False,
    as_json_lines: Annotated[
        bool, typer.Option("--jsonl", help="Print one JSON document per file and line.")
    ] = False,
) -> None:
    """Read candle files into the landing area, from where `ohlcv` takes them; nothing is silently repaired."""
    from orchestration.commands.import_candles import RELOAD, ignored_series, import_files, show

    reports = import_files(path, venue, pair, timeframe)
    if as_json_lines:
        for report in reports:
            _print_json(report)
    elif as_json:
        _print_json(reports)
    else:
        show(reports, out)
        if any(report["rows_stored"] for report in reports):
            out.print(RELOAD, markup=False, highlight=False)
    for note in ignored_series(reports):
        errors.print(Text.assemble(("note:", "yellow"), f" {note}"), soft_wrap=True)
    if any(report["refused_reason"] for report in reports):
        raise typer.Exit(1)


@app.command(
    epilog=_examples(
        "backtest --pair BTC/USDT",
        "backtest --pair XRP/USDT --from 2024-01-01 --to 2024-07-01 --ignore-pause",
        "backtest --pair BTC/USDT --strategy desk",
        "backtest --pair BTC/USDT --strategy policy --json",
    )
)
def backtest(
    pair: Annotated[str, typer.Option(help="e.g. BTC/USDT")],
    strategy: Annotated[
        str, typer.Option(help="desk (the whole decision) | technical | policy")
    ] = "technical",
    start: Annotated[str, typer.Option("--from", help="UTC day or time; all that is stored without.")] = "",
    end: Annotated[str, typer.Option("--to", help="UTC day or time, exclusive.")] = "",
    path: Annotated[str, typer.Option(help="Follow stops along finer imported candles, e.g. 5m.")] = "",
    ignore_pause: Annotated[
        bool, typer.Option("--ignore-pause", help="Go on after the drawdown that pauses trading.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Back-test a strategy on stored candles, after costs, with the account's halts and sizes."""
    from orchestration.commands.backtest import facts, run_backtest, show

    report, page = run_backtest(strategy, pair, start, end, path, ignore_pause)
    if as_json:
        _print_json(facts(report, page))
    else:
        show(report, page, out)


@app.command(epilog=_examples("status", "status --watch", "status --watch --json", "status --json"))
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

        return watch_status(out, _write_json_line if as_json else None)
    from orchestration.commands.status import read_status, show

    facts = read_status()
    return _print_json(facts) if as_json else show(facts, out)


@app.command(epilog=_examples("portfolio", "portfolio --since 2024-09-01"))
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
    _print_json(facts) if as_json else show(facts, out)


@app.command(
    epilog=_examples("kill --reason 'prices look wrong'", "kill --flatten --reason 'leaving the market'")
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
    _print_json(facts) if as_json else show(facts, out)


@app.command(
    epilog=_examples(
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
    _print_json(facts) if as_json else show(facts, out)
    if not facts["agrees"]:
        raise typer.Exit(1)


@app.command(epilog=_examples("resume --reason 'the feed was wrong, prices are right again'"))
def resume(
    reason: Annotated[str, typer.Option(help="Why trading may go on; it is kept with your name.")],
    account: Annotated[str, typer.Option(help="Without: the account of the chosen data.")] = "",
    by: Annotated[str, typer.Option(help="Who says so; your user name without.")] = "",
    as_json: AsJson = False,
) -> None:
    """End a pause: after a drawdown (counted from the equity of now on), a kill, or a position without a stop."""
    from orchestration.commands.resume import resume_trading, show

    facts = resume_trading(reason, account, by)
    _print_json(facts) if as_json else show(facts, out)


@app.command(epilog=_examples("doctor", "doctor --live", "doctor --json"))
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
        _print_json([finding.as_json() for finding in findings])
    else:
        show(findings, out)
    if any(finding.blocks for finding in findings):
        raise typer.Exit(1)


sandbox = typer.Typer(no_args_is_help=False, invoke_without_command=True)
app.add_typer(sandbox, name="sandbox")


@sandbox.callback(
    epilog=_examples("sandbox", "sandbox --candles ~/candles --start 2024-03-01 --speed 60 --fresh")
)
def run_sandbox(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="0: any free one.")] = None,
    candles: Annotated[str | None, typer.Option(help="Candle file or folder to replay.")] = None,
    trades: Annotated[str | None, typer.Option(help="Trade file or folder to replay.")] = None,
    start: Annotated[str | None, typer.Option(help="UTC time at which the market begins.")] = None,
    speed: Annotated[
        float | None, typer.Option(help="Market seconds per second; 0: only the admin endpoint moves time.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew; the old books are moved aside.")
    ] = False,
) -> None:
    """Run an exchange on this machine with Kraken's REST and WebSocket v2 API, until Ctrl-C."""
    if context.invoked_subcommand:
        return
    from orchestration.commands.sandbox import serve

    options = {"port": port, "candles": candles, "trades": trades, "start": start, "speed": speed}
    serve({name: value for name, value in options.items() if value is not None}, fresh, out)


@sandbox.command("export", epilog=_examples("sandbox export", "sandbox export books --format csv"))
def export_sandbox(
    folder: Annotated[Path | None, typer.Argument(help="Where to write; without, JSON is printed.")] = None,
    form: Annotated[str, typer.Option("--format", help="jsonl | csv")] = "jsonl",
) -> None:
    """Export the sandbox's orders, fills and balances, exact: the reference that others are compared with."""
    from orchestration.commands.sandbox import export_books, parse_form, write_books

    if folder is None:
        _print_json(export_books())
        return
    rows = write_books(folder, parse_form(form))
    out.print(f"{', '.join(f'{count} {name}' for name, count in rows.items())} written to {folder}")


@app.command(
    epilog=_examples(
        "watch BTC/USDT --channel trade --channel book", "watch BTC/USDT --source kraken --seconds 60"
    )
)
def watch(
    pairs: Annotated[
        list[str] | None, typer.Argument(help="e.g. BTC/USDT; all of the settings without.")
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(help="trade book ticker candle instrument executions balances; repeat for several."),
    ] = None,
    source: Annotated[str, typer.Option(help="sandbox | kraken | cryptocompare:<market>")] = "sandbox",
    depth: Annotated[int, typer.Option(help="of the book: 10 25 100 500 1000")] = 10,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long; without, at Ctrl-C.")] = None,
) -> None:
    """Show a venue's stream, every checksum verified; messages that may have been missed are marked."""
    from orchestration.commands.watch import watch_stream

    watch_stream(pairs or [], channel or [], source, depth, seconds, out)


@app.command(epilog=_examples("stream"))
def stream() -> None:
    """Record the market of the source in the settings: trades, closed candles, tickers, order books; until Ctrl-C."""
    from orchestration.commands.stream import run_stream

    raise typer.Exit(run_stream())


@app.command(
    epilog=_examples(
        "tail ohlcv-raw --key BTC-USDT | jq .close",
        "tail trades --from-start --limit 10",
        "tail trades --schema",
    )
)
def tail(
    topic: Annotated[
        str, typer.Argument(help="trades ticker book ohlcv-raw features decisions alerts dead-letters")
    ],
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin with the oldest message that is kept.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many; without, at Ctrl-C.")] = None,
    key: Annotated[str | None, typer.Option(help="Only messages of this key, e.g. BTC-USDT.")] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the topic's messages instead.")
    ] = False,
) -> None:
    """Follow a topic of the bus as JSON lines; nobody else misses a message because of it."""
    if schema:
        from streaming.schemas import json_schema

        _print_json(json_schema(topic))
        return
    from orchestration.commands.tail import tail as follow

    follow(topic, from_start, limit, key, sys.stdout)


bus = typer.Typer(no_args_is_help=False, invoke_without_command=True)
app.add_typer(bus, name="bus")


@bus.callback(epilog=_examples("bus", "bus --json"))
def show_bus(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the topics, the consumer groups with what waits for them, and what could not be read."""
    if context.invoked_subcommand:
        return
    from orchestration.commands.bus import read_bus, show

    facts = read_bus()
    _print_json(facts) if as_json else show(facts, out)


@bus.command("replay", epilog=_examples("bus replay", "bus replay --topic trades --group analytical"))
def replay_dead_letters(
    topic: Annotated[str | None, typer.Option(help="Only those that came from this topic.")] = None,
    group: Annotated[str | None, typer.Option(help="Only those that this consumer group put aside.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again to their topics, each once; what fails again becomes a new letter."""
    from orchestration.commands.bus import replay_letters, show_replay

    facts = replay_letters(topic, group)
    _print_json(facts) if as_json else show_replay(facts, out)


@app.command("sql", epilog=_examples("sql 'select pair, count(*) from ohlcv group by pair'"))
def query_lake(
    query: Annotated[str, typer.Argument(help='e.g. "select pair, count(*) from ohlcv group by pair"')],
    as_json: AsJson = False,
) -> None:
    """Ask the tables ohlcv and features: the Parquet lake with DuckDB, or ClickHouse; nothing can be changed."""
    from orchestration.settings import home_folder, load_settings
    from orchestration.tables import query_tables

    answer = query_tables(load_settings(), home_folder(), query)
    if as_json:
        _print_json(answer.to_dicts())
    else:
        out.print(answer)


@app.command(epilog=_examples("why 1f0c2ab7", "why 1f0c2ab7 --json"))
def why(
    decision_id: Annotated[str, typer.Argument(help="The id, or its first eight characters.")],
    as_json: AsJson = False,
) -> None:
    """Explain a decision: what was known, who voted what, which rule decided, what was filled."""
    from ml.decision.explanation import explain
    from orchestration.commands.status import read_decision

    receipt, order, fills = read_decision(decision_id)
    if as_json:
        _print_json(receipt)
    else:
        out.print(explain(receipt, order, fills), soft_wrap=True)


def main() -> None:
    """Run the command; an expected failure is one message and a non-zero exit code, never a stack trace."""
    try:
        sys.exit(app(standalone_mode=False, prog_name="marketloom") or 0)
    except SystemExit:
        raise
    except BaseException as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # words that the command does not know
            _fail(_show_usage(error), error.exit_code)
        if (message := failure_message(error)) is None:
            raise
        errors.print(Text.assemble(("error:", "red"), f" {message}"), soft_wrap=True)
        _fail(message, INTERRUPTED if is_interrupt(error) else 1)


def _show_usage(error: Any) -> str:
    """Print what typer found wrong with the words of the command, and return it; its numbers come from pydantic."""
    if hasattr(error.__cause__, "errors"):
        from orchestration.settings_problems import plain_words

        error.message = plain_words(error.__cause__.errors()[0])
    error.show()
    return str(getattr(error, "message", error))


def _fail(message: str, code: int) -> NoReturn:
    """End the command; a program that asked for JSON gets the message as a document, so that its parser works."""
    if asks_for_json(sys.argv[1:]):
        _print_json({"error": message})
    sys.exit(code)


def _print_json(value: Any) -> None:
    sys.stdout.write(as_json_line(value))


def _write_json_line(line: str) -> None:
    """Write a line that its reader gets at once."""
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
