"""`marketloom alert`: what people are told."""

import typer

from orchestration.cli.output import AsJson, examples, out
from orchestration.json_output import print_json

commands = typer.Typer(no_args_is_help=True)


@commands.callback(epilog=examples("alert test"))
def alert() -> None:
    """Tell people what happens, through the messengers of MARKETLOOM_ALERT_URLS (docs/alerts.md)."""


@commands.command("test", epilog=examples("alert test", "alert test --json"))
def send_test(as_json: AsJson = False) -> None:
    """Send one message to each messenger and say what became of it; exit code 1 unless all have taken it."""
    from orchestration.commands.alert_test import send_to_all, show

    facts = send_to_all()
    print_json(facts) if as_json else show(facts, out)
    if not facts["all_sent"]:
        raise typer.Exit(1)
