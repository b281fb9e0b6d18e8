"""`marketloom mcp`: tools for language models."""

from importlib.util import find_spec
from typing import Annotated

import typer

from orchestration.cli.output import AsJson, errors, examples, out
from orchestration.json_output import print_json
from trading.errors import InvalidSettings

commands = typer.Typer(no_args_is_help=False, invoke_without_command=True)


@commands.callback(epilog=examples("mcp", "mcp --http", "mcp calls"))
def serve(
    context: typer.Context,
    http: Annotated[
        bool, typer.Option("--http", help="Over HTTP, at [mcp] host and port, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of --http; that of the settings without.")
    ] = None,
) -> None:
    """Serve MCP, the protocol by which programs give tools to a language model, on standard input and output."""
    if context.invoked_subcommand:
        return
    if find_spec("mcp") is None:
        raise InvalidSettings('`marketloom mcp` needs the package mcp: pip install "marketloom[mcp]"')
    from orchestration.mcp.serving import serve_http, serve_stdio

    serve_http(port, errors) if http else serve_stdio()


@commands.command("calls", epilog=examples("mcp calls", "mcp calls --limit 100 --json"))
def show_calls(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show who has called which tool, when, and what became of it."""
    from orchestration.commands.tool_calls import read_calls, show

    facts = read_calls(limit)
    print_json(facts) if as_json else show(facts, out)
