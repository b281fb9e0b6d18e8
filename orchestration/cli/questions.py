"""Commands that answer one question: sql, why."""

from typing import Annotated

import typer

from orchestration.cli.output import AsJson, examples, out
from orchestration.json_output import print_json

commands = typer.Typer()


@commands.command("sql", epilog=examples("sql 'select pair, count(*) from ohlcv group by pair'"))
def query_lake(
    query: Annotated[str, typer.Argument(help='e.g. "select pair, count(*) from ohlcv group by pair"')],
    as_json: AsJson = False,
) -> None:
    """Ask the tables ohlcv and features: the Parquet lake with DuckDB, or ClickHouse; nothing can be changed."""
    from orchestration.settings import home_folder, load_settings
    from orchestration.tables import query_tables

    answer = query_tables(load_settings(), home_folder(), query)
    if as_json:
        print_json(answer.to_dicts())
    else:
        out.print(answer)


@commands.command(epilog=examples("why 1f0c2ab7", "why 1f0c2ab7 --json"))
def why(
    decision_id: Annotated[str, typer.Argument(help="The id, or its first eight characters.")],
    as_json: AsJson = False,
) -> None:
    """Explain a decision: what was known, who voted what, which rule decided, what was filled."""
    from ml.decision.explanation import explain
    from orchestration.commands.status import read_decision

    receipt, order, fills = read_decision(decision_id)
    if as_json:
        print_json(receipt)
    else:
        out.print(explain(receipt, order, fills), soft_wrap=True)
