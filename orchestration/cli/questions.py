"""Commands that answer one question: sql, why, replay, shadow, parity, bundle, board, leak."""

from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.output import AsJson, errors, examples, out
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


@commands.command(
    epilog=examples("replay 1f0c2ab7", "replay --since 2024-09-01", "replay --since 2024-09-01 --json")
)
def replay(
    decision_id: Annotated[str, typer.Argument(help="The id, or its first eight characters.")] = "",
    since: Annotated[
        str, typer.Option(help="UTC day or time: every decision of the account from then on.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Decide again from what was recorded, to the byte, and name the first input that is another one now.

    Exit code 0: identical. 3: an input differs. 4: the recorded inputs lead to another decision. 5: not replayable.
    """
    from ml.backtests import parse_utc
    from orchestration.commands.replay import replay_decisions, show

    report = replay_decisions(decision_id, parse_utc(since))
    print_json(report.facts()) if as_json else show(report, out)
    raise typer.Exit(report.exit_code)


@commands.command(
    epilog=examples(
        "shadow BTC/USDT --from 2024-03-01 --to 2024-03-02",
        "shadow BTC/USDT --from 2024-03-01 --challenger 3f9c1d20ab54e7c8 --json",
    )
)
def shadow(
    pair: Annotated[str, typer.Argument(help="e.g. BTC/USDT")],
    start: Annotated[str, typer.Option("--from", help="UTC day or time of the first candle's close.")],
    end: Annotated[str, typer.Option("--to", help="UTC day or time, exclusive; up to now without.")] = "",
    challenger: Annotated[
        str, typer.Option(help="Id of a policy that decides beside the champion, in its place.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Decide on every candle of the past as live trading would, flat each time; nothing is ordered.

    Each decision is recorded and can be explained and replayed. The same span again decides only what is new.
    """
    from orchestration.commands.shadow import shadow_past, show

    report = shadow_past(pair, start, end, challenger, errors)
    print_json(report.facts()) if as_json else show(report, out)


@commands.command(epilog=examples("parity", "parity 2024-03-14", "parity 2024-03-14 --json"))
def parity(
    day: Annotated[str, typer.Argument(help="UTC day that has closed; the newest one without.")] = "",
    as_json: AsJson = False,
) -> None:
    """Back-test a closed day from what is stored now, and say why live earned something else, in parts that add up.

    Exit code 0: every part has a cause. 3: a part is unexplained.
    """
    from orchestration.commands.parity import audit_day, exit_code, facts, show

    report = audit_day(day)
    print_json(facts(report)) if as_json else show(report, out)
    raise typer.Exit(exit_code(report))


@commands.command(
    epilog=examples("bundle 1f0c2ab7", "bundle 1f0c2ab7 for-you.jsonl", "bundle verify for-you.jsonl")
)
def bundle(
    decision_id: Annotated[str, typer.Argument(help="The id of a decision, or the word verify.")],
    file: Annotated[
        Path | None, typer.Argument(help="The file to write, or to verify; decision-ID.jsonl without.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a decision with all of its inputs as one file; `bundle verify FILE` decides again from the file alone.

    Exit code of verify 0: as it was written, and the same decision. 3: an entry was changed. 4: another decision.
    """
    from orchestration.commands.bundle import bundle_decision, show, verify_file

    if decision_id == "verify" and file is None:
        raise typer.BadParameter("name the file to verify")
    facts, code = (
        verify_file(file) if file and decision_id == "verify" else (bundle_decision(decision_id, file), 0)
    )
    print_json(facts) if as_json else show(facts, out)
    raise typer.Exit(code)


@commands.command(epilog=examples("board", "board --since 2024-09-01 --json"))
def board(
    since: Annotated[str, typer.Option(help="UTC day or time: votes on candles from then on.")] = "",
    as_json: AsJson = False,
) -> None:
    """Judge every recorded vote by what followed: hit rate, skill, earnings net of cost, beside chance and holding."""
    from ml.backtests import parse_utc
    from orchestration.commands.board import judge_votes, show

    judged = judge_votes(parse_utc(since))
    print_json(judged.facts()) if as_json else show(judged, out)


@commands.command(epilog=examples("leak --from 2025-01-01 --to 2026-06-01", "leak --from 2025-01-01 --json"))
def leak(
    start: Annotated[str, typer.Option("--from", help="UTC day or time from which articles are taken.")],
    end: Annotated[str, typer.Option("--to", help="UTC day or time, exclusive; up to now without.")] = "",
    articles: Annotated[
        int, typer.Option(min=2, help="At most, before the model's cut-off and after it.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Estimate how much the model that judges news remembers: stories with and without names, before and after.

    Asks the model twice about each article, from the day's budget.
    """
    from ml.backtests import parse_utc
    from orchestration.commands.leak import facts, measure_leak, show

    found = measure_leak(parse_utc(start), parse_utc(end), articles)
    print_json(facts(found)) if as_json else show(found, out)
