"""The `marketloom` command line: what each command takes. Its work is in `orchestration.commands`."""

import sys
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text

from orchestration.cli import account, alerts, bus, live, mcp, news, questions, runs, sandbox, streams
from orchestration.cli.output import errors, examples, out
from orchestration.commands.failures import INTERRUPTED, failure_message, is_interrupt
from orchestration.json_output import asks_for_json, print_json

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for part in (runs, account, streams, questions):
    app.add_typer(part.commands)
app.add_typer(sandbox.commands, name="sandbox")
app.add_typer(bus.commands, name="bus")
app.add_typer(alerts.commands, name="alert")
app.add_typer(live.commands, name="live")
app.add_typer(mcp.commands, name="mcp")
app.add_typer(news.commands, name="news")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"marketloom {version('marketloom')}")
        raise typer.Exit


@app.callback(epilog=examples("demo --quick", "dev", "status", "why 1f0c2ab7", "backtest --help"))
def marketloom(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    """Gather data, learn and judge for crypto trading, as one Dagster asset graph."""


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
        print_json({"error": message})
    sys.exit(code)
