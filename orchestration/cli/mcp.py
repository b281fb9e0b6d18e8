"""`marketloom mcp`: tools for language models."""

import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from orchestration.cli.output import AsJson, errors, examples, out
from orchestration.json_output import print_json
from trading.errors import InvalidSettings

commands = typer.Typer(no_args_is_help=False, invoke_without_command=True)


@commands.callback(epilog=examples("mcp", "mcp --http", "mcp --write"))
def serve(
    context: typer.Context,
    http: Annotated[
        bool,
        typer.Option("--http", help="Over HTTP, at mcp.host and mcp.port of the settings, until Ctrl-C."),
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of --http; that of the settings without.")
    ] = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Also tools that plan changes; a person approves each plan first."),
    ] = False,
) -> None:
    """Serve MCP, the protocol by which programs give tools to a language model, on standard input and output."""
    if context.invoked_subcommand:
        return
    if find_spec("mcp") is None:
        raise InvalidSettings('`marketloom mcp` needs the package mcp: pip install "marketloom[mcp]"')
    from orchestration.mcp.serving import serve_http, serve_stdio

    if sys.stdin.isatty() and not http:
        errors.print(
            "an MCP client starts this by itself and speaks on standard input: docs/mcp.md; Ctrl-C ends it"
        )
    serve_http(port, write, errors) if http else serve_stdio(write)


@commands.command("calls", epilog=examples("mcp calls", "mcp calls --limit 100 --json"))
def show_calls(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show who has called which tool, when, and what became of it."""
    from orchestration.commands.tool_calls import read_calls, show

    facts = read_calls(limit)
    print_json(facts) if as_json else show(facts, out)


@commands.command("plans", epilog=examples("mcp plans", "mcp plans --all"))
def show_plans(
    every: Annotated[bool, typer.Option("--all", help="Also those that wait for nobody any more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the plans that wait for a person, each with the code that approves it."""
    from orchestration.commands.tool_plans import read_plans, show

    facts = read_plans(every)
    print_json(facts) if as_json else show(facts, out)


@commands.command("approve", epilog=examples("mcp approve 7KQ2M4XW9H"))
def approve(
    code: Annotated[str, typer.Argument(help="Of `marketloom mcp plans`.")],
    by: Annotated[str, typer.Option(help="Who says so; your user name without.")] = "",
) -> None:
    """Show one plan and ask for the account's name; whoever planned it may then carry it out, once."""
    from orchestration.commands.tool_plans import approve_plan

    plan = approve_plan(code, by, out)
    out.print(f"plan {plan.plan_id} is approved until {plan.expires_at:%H:%M:%S} UTC")


@commands.command("decline", epilog=examples("mcp decline 7KQ2M4XW9H"))
def decline(
    code: Annotated[str, typer.Argument(help="Of `marketloom mcp plans`.")],
    by: Annotated[str, typer.Option(help="Who says so; your user name without.")] = "",
) -> None:
    """Decline one plan; it can never be carried out."""
    from orchestration.commands.tool_plans import decline_plan

    plan = decline_plan(code, by)
    out.print(f"plan {plan.plan_id} is declined")
