"""Commands that follow a market: watch, stream, tail."""

import sys
from typing import Annotated

import typer

from orchestration.cli.output import examples, out
from orchestration.json_output import print_json

commands = typer.Typer()


@commands.command(
    epilog=examples(
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


@commands.command(epilog=examples("stream"))
def stream() -> None:
    """Record the market of the source in the settings: trades, closed candles, tickers, order books; until Ctrl-C."""
    from orchestration.commands.stream import run_stream

    raise typer.Exit(run_stream())


@commands.command(
    epilog=examples(
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

        print_json(json_schema(topic))
        return
    from orchestration.commands.tail import tail as follow

    follow(topic, from_start, limit, key, sys.stdout)
