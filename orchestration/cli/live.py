"""`marketloom live`: real money."""

from typing import Annotated

import typer

from orchestration.cli.output import AsJson, examples, out
from orchestration.json_output import print_json

commands = typer.Typer(no_args_is_help=True)
By = Annotated[str, typer.Option(help="Who says so; your user name without.")]


@commands.callback(epilog=examples("live confirm"))
def live() -> None:
    """Let one deployment trade real money, or end that (docs/live.md); `doctor --live` says what is missing."""


@commands.command(epilog=examples("live confirm"))
def confirm(by: By = "") -> None:
    """Examine the account of the key in the environment, show what would trade, and ask for the account's name."""
    from orchestration.commands.live import confirm_live

    facts = confirm_live(out, by)
    out.print(
        f"confirmed: account {facts['account']} trades real money from now on, with code {facts['code']}"
    )


@commands.command(epilog=examples("live end --reason 'back to paper'"))
def end(
    reason: Annotated[str, typer.Option(help="Why; it is kept with your name.")],
    account: Annotated[str, typer.Option(help="Without: that of the key in the environment.")] = "",
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Open nothing more with real money; what is open stays protected until it is closed, then paper trades."""
    from orchestration.commands.live import end_live, show_end

    facts = end_live(reason, account, by)
    print_json(facts) if as_json else show_end(facts, out)
