"""`marketloom bus`: look at topics, consumer groups and dead letters, or send those again."""

from typing import Annotated

import typer

from orchestration.cli.output import AsJson, examples, out
from orchestration.json_output import print_json

commands = typer.Typer(no_args_is_help=False, invoke_without_command=True)


@commands.callback(epilog=examples("bus", "bus --json"))
def show_bus(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the topics, the consumer groups with what waits for them, and what could not be read."""
    if context.invoked_subcommand:
        return
    from orchestration.commands.bus import read_bus, show

    facts = read_bus()
    print_json(facts) if as_json else show(facts, out)


@commands.command("replay", epilog=examples("bus replay", "bus replay --topic trades --group analytical"))
def replay_dead_letters(
    topic: Annotated[str | None, typer.Option(help="Only those that came from this topic.")] = None,
    group: Annotated[str | None, typer.Option(help="Only those that this consumer group put aside.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again to their topics, each once; what fails again becomes a new letter."""
    from orchestration.commands.bus import replay_letters, show_replay

    facts = replay_letters(topic, group)
    print_json(facts) if as_json else show_replay(facts, out)
