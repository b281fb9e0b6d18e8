"""The honesty board: what every judge's recorded votes were worth, as an asset and a page."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg

from assets.board_page import (
    HEAD,
    VALUE_HEAD,
    WEIGHT_HEAD,
    board_page,
    judge_rows,
    value_rows,
    weight_rows,
)
from assets.decisions import decision
from assets.features import features
from assets.market import OHLCV
from assets.metadata_tables import shown_table
from ml.agents.vote_weights import WeightVersions
from ml.backtests import Backtester
from ml.decision.clock import Clock
from ml.track_record.board import BEGINNING, BoardMaker
from ml.track_record.value import Value, values
from ml.track_record.weighing import Weigher
from trading.atomic_files import replace_file
from trading.errors import InvalidValue, NotStored

FILE = "honesty-board.html"
JUDGED = (
    dg.AssetDep(decision, partition_mapping=dg.AllPartitionMapping()),
    dg.AssetDep(OHLCV, partition_mapping=dg.AllPartitionMapping()),
    dg.AssetDep(features, partition_mapping=dg.AllPartitionMapping()),
)


@dg.asset(group_name="learning", kinds={"postgres"}, owners=["team:research"], code_version="1", deps=JUDGED)
def vote_weights(
    context: dg.AssetExecutionContext,
    weigher: dg.ResourceParam[Weigher],
    weight_versions: dg.ResourceParam[WeightVersions],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Weigh every agent by its recorded votes: a new version, which decisions from now on read.

    Who was no better than the base rate has no vote on an entry. A record too short to judge changes nothing.
    """
    at = clock().at
    weights = weigher.weights(at, weight_versions.at(at))
    made = weight_versions.record(replace(weights, known_at=clock().at))  # making them has taken a while
    counts = [each for each in made.weights if made.counts(each)]
    silent = sum(each.weight == 0 for each in counts)
    context.log.info(f"{len(counts)} records count, {silent} leave no vote")
    return dg.MaterializeResult(
        metadata={
            "version": made.version,
            "records": len(made.weights),
            "records_that_count": len(counts),
            "without_a_vote": silent,
            "enabled": weigher.rules.enabled,
            "weights": shown_table(WEIGHT_HEAD, weight_rows(made)),
        }
    )


@dg.asset(
    group_name="learning",
    kinds={"postgres"},
    owners=["team:research"],
    code_version="2",
    deps=[*JUDGED, vote_weights],
)
def honesty_board(
    context: dg.AssetExecutionContext,
    board_maker: dg.ResourceParam[BoardMaker],
    backtester: dg.ResourceParam[Backtester],
    clock: dg.ResourceParam[Clock],
    report_folder: dg.ResourceParam[Path],
) -> dg.MaterializeResult[None]:
    """Judge every recorded vote by what followed: hit rate, calibration, skill, earnings net of cost, beside chance.

    Votes of a language model on candles before its knowledge ends count nowhere.
    """
    board = board_maker.board(BEGINNING, clock().at)
    worth = list(_values(context, backtester))
    path = report_folder / FILE
    replace_file(path, board_page(board, worth).encode())
    clean = sum(each.clean for each in board.judges)
    contaminated = sum(each.contaminated for each in board.judges)
    context.log.info(
        f"{len(board.judges)} judges: {clean} votes count, {contaminated} are on what a model may have read"
    )
    return dg.MaterializeResult(
        metadata={
            "judges": len(board.judges),
            "clean_votes": clean,
            "contaminated_votes": contaminated,
            "board": shown_table(HEAD, judge_rows(board)),
            "value_of_news": shown_table(VALUE_HEAD, value_rows(worth)),
            "page": dg.MetadataValue.path(path),
        }
    )


def _values(context: dg.AssetExecutionContext, backtester: Backtester) -> Iterator[Value]:
    """Back-test every pair that has candles and features; one that has none is named in the log."""
    for pair in backtester.universe.pairs:
        try:
            yield from values(backtester, pair, None, None)
        except (NotStored, InvalidValue) as error:
            context.log.warning(f"{pair}: what news add is not known: {error}")
