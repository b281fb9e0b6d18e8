"""`marketloom news`: look for news as an agent does."""

from typing import Annotated

import typer

from orchestration.cli.output import AsJson, examples, out
from orchestration.json_output import print_json

commands = typer.Typer(no_args_is_help=True)


@commands.callback(epilog=examples("news search"))
def news() -> None:
    """Look for news as agents do."""


@commands.command(
    "search",
    no_args_is_help=True,
    epilog=examples(
        'news search "regulator drops its appeal"',
        'news search "exchange hacked" --pair BTC/USDT --as-of 2024-05-01T12:00 --json',
    ),
)
def search_news(
    text: Annotated[str, typer.Argument(help="What is looked for, in plain words.")],
    pair: Annotated[str, typer.Option(help="Only stories that name an asset of it, e.g. BTC/USDT.")] = "",
    as_of: Annotated[
        str, typer.Option(help="UTC day or time; only what was known before. Now, without.")
    ] = "",
    since: Annotated[str, typer.Option(help="UTC day or time; only what became known from then on.")] = "",
    count: Annotated[int, typer.Option(min=1, max=50, help="How many stories at most.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Find stories by meaning and by words, each once, with the parts of its score; older ones count less."""
    from orchestration.commands.news_search import facts, search, show

    found = search(text, pair, as_of, since, count)
    print_json(facts(found)) if as_json else show(found, out)
