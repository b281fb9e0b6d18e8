"""Commands that run the graph or read files into it: demo, live-demo, dev, import, backtest."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from orchestration.cli.output import AsJson, errors, examples, out
from orchestration.json_output import print_json

commands = typer.Typer()


@commands.command(epilog=examples("demo --quick", "demo --data ~/candles"))
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


@commands.command(
    "live-demo",
    epilog=examples("live-demo", "live-demo --data ~/candles", "live-demo --minutes 10 --speed 5"),
)
def live_demo(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with ohlcv/ (candles of a minute) or trades/; simulated without."),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.2, max=1440, help="How long it trades, in minutes of this machine.")
    ] = 6.1,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Market seconds that pass in each second.")
    ] = 240.0,
) -> None:
    """Trade on an exchange on this machine, everything live, and prove at the end that nothing was lost or doubled."""
    from orchestration.commands.live_demo import run_live_demo

    raise typer.Exit(run_live_demo(data, minutes, speed, out))


@commands.command(epilog=examples("dev", "dev --port 3001"))
def dev(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Of the UI; without, the port of the settings (dagster.port)."),
    ] = None,
) -> None:
    """Run PostgreSQL, the Dagster UI and its daemon on this machine, until Ctrl-C."""
    from orchestration.commands.dev import serve

    raise typer.Exit(serve(out, port))


@commands.command(
    "import",
    epilog=examples(
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
            print_json(report)
    elif as_json:
        print_json(reports)
    else:
        show(reports, out)
        if any(report["rows_stored"] for report in reports):
            out.print(RELOAD, markup=False, highlight=False)
    for note in ignored_series(reports):
        errors.print(Text.assemble(("note:", "yellow"), f" {note}"), soft_wrap=True)
    if any(report["refused_reason"] for report in reports):
        raise typer.Exit(1)


@commands.command(
    epilog=examples(
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
        print_json(facts(report, page))
    else:
        show(report, page, out)
