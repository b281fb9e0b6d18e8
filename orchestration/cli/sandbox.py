"""`marketloom sandbox`: run the exchange on this machine, or export its books."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.output import examples, out
from orchestration.json_output import print_json

commands = typer.Typer(no_args_is_help=False, invoke_without_command=True)


@commands.callback(
    epilog=examples("sandbox", "sandbox --candles ~/candles --start 2024-03-01 --speed 60 --fresh")
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


@commands.command("export", epilog=examples("sandbox export", "sandbox export books --format csv"))
def export_sandbox(
    folder: Annotated[Path | None, typer.Argument(help="Where to write; without, JSON is printed.")] = None,
    form: Annotated[str, typer.Option("--format", help="jsonl | csv")] = "jsonl",
) -> None:
    """Export the sandbox's orders, fills and balances, exact: the reference that others are compared with."""
    from orchestration.commands.sandbox import export_books, parse_form, write_books

    if folder is None:
        print_json(export_books())
        return
    rows = write_books(folder, parse_form(form))
    out.print(f"{', '.join(f'{count} {name}' for name, count in rows.items())} written to {folder}")
