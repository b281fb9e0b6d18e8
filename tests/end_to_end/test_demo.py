"""`marketloom demo` on a small simulated market, once for all tests of this file, and what is there afterwards."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from ml.strategies import Strategy
from tests import tutorial
from tests.end_to_end.demo_home import DemoHome, Finished, demo_home, receipts


@pytest.fixture(scope="module")
def home() -> Iterator[DemoHome]:
    with demo_home() as each:
        yield each


@pytest.fixture(scope="module")
def demo(home: DemoHome) -> Finished:
    return home.run("demo", "--quick", MARKETLOOM__POLICY__TOTAL_TIMESTEPS="4096")


@pytest.fixture(scope="module")
def decided(demo: Finished, home: DemoHome) -> list[Mapping[str, Any]]:
    """The receipts of the first run."""
    return receipts(home)


@pytest.fixture(scope="module")
def left_running(demo: Finished, home: DemoHome) -> list[psutil.Process]:
    return home.processes()


@pytest.fixture(scope="module", autouse=True)
def server(left_running: list[psutil.Process], home: DemoHome) -> Iterator[None]:
    """Hold PostgreSQL, which every command would start and stop again."""
    holder = home.start_python("print('up', flush=True)\nimport time\ntime.sleep(3600)")
    holder.wait_for("up")
    yield
    holder.interrupt()
    holder.end()


def test_it_ends_well_and_leads_to_the_ui(demo: Finished) -> None:
    assert demo.code == 0, demo.text
    assert "`make dev` opens the Dagster UI" in demo.text


def test_nothing_is_left_running(left_running: list[psutil.Process]) -> None:
    assert left_running == []


def test_everything_simulated_is_called_simulated(demo: Finished, home: DemoHome) -> None:
    assert "SIMULATED market" in demo.text
    assert home.run("status", "--json").json()["dataset"] == "simulated-1h"
    origins = home.python(
        "pairs, store = system.settings.market.pairs, services.candle_store\n"
        "first = [store.read(pair, store.months(pair)[0]) for pair in pairs]\n"
        "print(json.dumps([table['origin'].unique().to_list() for table in first]))"
    )
    assert origins == [["simulated"]] * 3


def test_the_summary_tells_rows_gaps_features_speed_results_and_decisions(demo: Finished) -> None:
    for word in (
        "candles",
        "missing",
        "gaps",
        "features",
        "frames/s",
        "buy and hold",
        "cash",
        "24 decisions",
        "of 3 agents voted",
        "equity",
    ):
        assert word in demo.text


def test_every_decision_is_made_again_to_the_byte(demo: Finished, home: DemoHome) -> None:
    replayed = home.run("replay", "--since", "2023-01-01", "--json").json()
    assert replayed["decisions"] == replayed["counts"]["identical"] >= 24
    name = replayed["replays"][-1]["decision_id"][:8]
    other = home.run("replay", name, "--json", MARKETLOOM__RISK__POSITION_CAP="0.19")
    assert (other.code, other.json()["replays"][0]["difference"]["input"]) == (
        3,
        "settings.limits.position_cap",
    )


def test_a_decision_leaves_as_one_file_that_is_verified_without_home_settings_and_database(
    decided: list[Mapping[str, Any]], home: DemoHome, tmp_path: Path
) -> None:
    name, file = decided[0]["decision_id"], tmp_path / "decision.jsonl"
    assert home.run("bundle", name[:8], str(file)).code == 0
    nowhere = {"MARKETLOOM_HOME": str(tmp_path / "nowhere"), "MARKETLOOM_CONFIG": str(tmp_path / "no.toml")}
    verified = home.run("bundle", "verify", str(file), "--json", **nowhere)
    assert (verified.code, verified.json()["verdict"]) == (0, "identical")
    assert verified.json()["decision_id"] == name
    assert not (tmp_path / "nowhere").exists()


def test_the_output_outside_of_a_terminal_is_two_lines_per_stage_and_the_summary(demo: Finished) -> None:
    stages = [line for line in demo.output.splitlines() if line.startswith("•")]
    assert 5 <= len(stages) <= 8
    assert "; month " not in demo.text  # 66 lines once
    assert demo.errors == ""
    assert "…" not in demo.text.replace(" … ", "")


def test_the_gates_reasons_say_why_a_quick_demo_cannot_be_judged(demo: Finished) -> None:
    assert "tested on 1 whole month in a row" in demo.text


# A simulated market is not streamed: nobody records its books. The day of the newest decisions has not ended.
# Decisions leave their inputs' check to whoever asks for it.
NOT_OF_A_DEMO = {
    "market_tape:newest_bars_are_streamed",
    "order_book:order_books_are_possible",
    "order_book:order_book_samples_are_there",
    "order_book:order_books_see_no_future",
    "decision:inputs_are_current",
    "parity_report:unexplained_is_zero",
}


def test_every_run_and_every_asset_check_succeeded(demo: Finished, home: DemoHome) -> None:
    statuses, checks = home.python(
        "import dagster as dg\n"
        "from orchestration.definitions import definitions\n"
        "from orchestration.settings import load_settings\n"
        "defs = definitions(load_settings())\n"
        "storage, results = instance.event_log_storage, {}\n"
        "for key in defs.resolve_asset_graph().asset_check_keys:\n"
        "    found = storage.get_latest_asset_check_execution_by_key([key])\n"
        "    results[key.to_user_string()] = found[key].status.value if found else 'never ran'\n"
        "print(json.dumps([[run.status.value for run in instance.get_runs()], results]))"
    )
    assert len(statuses) > 10
    assert set(statuses) == {"SUCCESS"}
    assert {name for name, status in checks.items() if status == "never ran"} == NOT_OF_A_DEMO
    assert {checks[name] for name in checks.keys() - NOT_OF_A_DEMO} == {"SUCCEEDED"}, checks


def test_every_asset_was_materialised_but_books_that_nobody_recorded_and_a_day_that_has_not_ended(
    demo: Finished, home: DemoHome
) -> None:
    missing = home.python(
        "from orchestration.definitions import definitions\n"
        "from orchestration.settings import load_settings\n"
        "defs = definitions(load_settings())\n"
        "keys = defs.resolve_asset_graph().materializable_asset_keys\n"
        "missing = [key for key in keys if not instance.get_latest_materialization_event(key)]\n"
        "print(json.dumps([key.to_user_string() for key in missing]))"
    )
    assert sorted(missing) == ["order_book", "parity_report"]


def test_every_pair_is_decided_on_at_consecutive_candles_up_to_the_newest(
    decided: list[Mapping[str, Any]],
) -> None:
    for pair in ("BTC/USDT", "XRP/BTC", "XRP/USDT"):
        times = sorted(row["decided_at"] for row in decided if row["pair"] == pair)
        assert times[-1] == "2024-06-11T00:00:00+00:00"
        assert len(times) >= 20  # of 24 candles; the simulated venue has outages


def test_the_analyst_votes_on_the_news_of_the_time(decided: list[Mapping[str, Any]]) -> None:
    votes = [each for row in decided for each in row["opinions"] if each["agent"] == "analyst"]
    assert sum(vote["action"] is not None for vote in votes) > len(votes) / 2


def test_every_order_fills_after_its_decision_and_never_at_the_close_it_was_decided_on(
    decided: list[Mapping[str, Any]], home: DemoHome
) -> None:
    fills = home.python(
        "found = services.journal.fills(services.account.name)\n"
        "kinds = [services.journal.working_order(f.intent_id).intent.kind.value for f in found]\n"
        "print(json.dumps([[k, f.intent_id, str(f.price), f.filled_at.isoformat()] for k, f in zip(kinds, found)]))"
    )
    ordered = {row["intent"]["intent_id"]: row for row in decided if row["intent"]}
    own = [row[1:] for row in fills if row[0] != "stop"]
    assert {intent_id for intent_id, _, _ in own} == set(ordered)
    for intent_id, price, filled_at in own:
        assert filled_at >= ordered[intent_id]["decided_at"]
        assert float(price) != ordered[intent_id]["close"]


def test_balances_are_the_opening_plus_every_fill(demo: Finished, home: DemoHome) -> None:
    """The account opens at its first decision, before any fill of that moment could be entered."""
    differences = home.python(
        "import datetime as dt\n"
        "from collections import Counter\n"
        "from trading.portfolio import cash_flows\n"
        "name, journal = services.account.name, services.journal\n"
        "first = min(row['decided_at'] for row in journal.decisions(name, limit=1000))\n"
        "opened = services.input_reader.market.prices(dt.datetime.fromisoformat(first))\n"
        "from trading.account import opening_balances\n"
        "total = Counter(opening_balances(services.account, opened))\n"
        "for fill in journal.fills(name): total.update(cash_flows(fill))\n"
        "print(json.dumps([str(total[asset] - amount) for asset, amount in journal.balances(name).items()]))"
    )
    assert {float(difference) for difference in differences} == {0.0}


def test_why_explains_a_decision_from_the_first_characters_of_its_id(
    decided: list[Mapping[str, Any]], home: DemoHome
) -> None:
    receipt = decided[0]
    result = home.run("why", receipt["decision_id"][:8])
    assert result.code == 0
    for word in (receipt["pair"], "Votes", "technical", "quant", "analyst", "consensus"):
        assert word in result.output
    assert home.run("why", receipt["decision_id"][:8], "--json").json() == receipt


@pytest.mark.parametrize("command", ["status", "sql", "portfolio"])
def test_a_command_of_the_tutorial_prints_tables_as_they_are_shown_there(
    demo: Finished, home: DemoHome, command: str
) -> None:
    words, shown = tutorial.steps()[command]
    result = home.run(*words)
    assert result.code == 0, result.text
    assert tutorial.headings(shown)
    assert tutorial.headings(shown) <= tutorial.headings(tutorial.plain(result.output))


def test_why_of_an_unknown_decision_says_where_to_look(demo: Finished, home: DemoHome) -> None:
    result = home.run("why", "ffffffff")
    assert result.code == 1
    assert "marketloom status" in result.text


@pytest.fixture(scope="module")
def page(demo: Finished, home: DemoHome) -> str:
    return (home.folder / "reports" / "demo-simulated-1h.html").read_text(encoding="utf-8")


def test_the_report_opens_with_charts_of_equity_and_of_every_pair(page: str) -> None:
    assert "SIMULATED" in page
    above, _, below = page.partition("<h2>Orders")
    assert above.count("<svg") == 4
    assert "its opening balances, untouched" in above
    assert all(f"{pair}: 24 decisions" in above for pair in ("BTC/USDT", "XRP/USDT", "XRP/BTC"))
    assert "<details>" in below  # receipts unfold on a click
    assert "<pre>" not in above


def test_the_report_loads_nothing_and_links_to_the_ui_and_to_back_tests_that_are_there(
    page: str, home: DemoHome
) -> None:
    assert "<script" not in page
    assert " src=" not in page
    links = re.findall(r'href="([^"#]+)"', page)
    assert "http://127.0.0.1:3000" in links
    pages = [link for link in links if not link.startswith("http")]
    assert len(pages) == 3 * len(Strategy)
    assert all((home.folder / "reports" / name).is_file() for name in pages)


def test_the_report_lists_every_order_with_what_became_of_it(
    page: str, decided: list[Mapping[str, Any]]
) -> None:
    ordered = [row for row in decided if row["intent"]]
    assert f"<h2>Orders ({len(ordered)})" in page
    assert page.count("<summary>Why: ") == len(ordered) + 3  # and the newest decision of each pair


def test_every_strategy_of_every_pair_has_its_back_test(demo: Finished, home: DemoHome) -> None:
    pages = {path.stem for path in (home.folder / "reports").glob("backtest-*.html")}
    pairs, strategies = ("BTC-USDT", "XRP-USDT", "XRP-BTC"), ("technical", "policy", "desk")
    assert pages >= {f"backtest-simulated-1h-{pair}-{each}" for pair in pairs for each in strategies}


def test_a_back_test_from_the_command_line_prints_months_and_trades_and_writes_the_page(
    demo: Finished, home: DemoHome
) -> None:
    asked = ("backtest", "--pair", "xrp-usdt", "--from", "2024-03-01", "--to", "2024-05-01")
    result = home.run(*asked)
    assert result.code == 0, result.text
    for word in ("technical on XRP/USDT", "Sharpe ratio", "Monthly returns", "trades", "report:"):
        assert word in result.text
    facts = home.run(*asked, "--json").json()
    assert (facts["from"], facts["to"]) == ("2024-03-01T00:00:00+00:00", "2024-05-01T00:00:00+00:00")
    assert "<svg" in Path(facts["report"]).read_text(encoding="utf-8")


def test_the_whole_decision_is_back_tested_from_the_command_line(demo: Finished, home: DemoHome) -> None:
    result = home.run("backtest", "--pair", "XRP/USDT", "--strategy", "desk", "--from", "2024-05-01")
    assert result.code == 0, result.text
    assert "desk on XRP/USDT" in result.text
    words = " ".join(result.text.split())
    assert re.search(r"the quant agent on 0, the analyst agent on [1-9]", words), result.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--strategy", "magic", "--pair", "BTC/USDT"), "there are technical, policy"),
        (("--pair", "ETH/USDT"), "[market] pairs has"),
        (("--pair", "BTC/USDT", "--from", "soon"), "write it like 2020-01-31"),
        (("--pair", "BTC/USDT", "--from", "2030-01-01"), "stored are 2024-01 to 2024-06"),
        (("--pair", "BTC/USDT", "--path", "5m"), 'only there where [market] source = "files"'),
        (("--pair", "BTC/USDT", "--path", "4h"), "no finer"),
    ],
)
def test_an_impossible_back_test_is_one_clear_line(
    demo: Finished, home: DemoHome, words: tuple[str, ...], message: str
) -> None:
    result = home.run("backtest", *words)
    assert result.code == 1
    assert message in result.text
    assert "Traceback" not in result.text


def test_a_second_run_mends_damage_and_learns_decides_and_orders_nothing_again(
    decided: list[Mapping[str, Any]], home: DemoHome
) -> None:
    policies = sorted((home.folder / "policies").rglob("manifest.json"))
    part = sorted((home.folder / "lake").glob("*/ohlcv/pair=BTC-USDT/*/*.parquet"))[0]
    part.write_bytes(b"PAR1 this is no Parquet")
    refused = home.python(
        "from trading.errors import UnreadableFile\n"
        "from trading.market import Pair\n"
        "try:\n"
        "    services.candle_store.read(Pair('BTC', 'USDT'), services.candle_store.months(Pair('BTC', 'USDT'))[0])\n"
        "    print(json.dumps(''))\n"
        "except UnreadableFile as error: print(json.dumps(str(error)))"
    )
    assert str(part.parent) in refused
    assert "materialise" in refused
    again = home.run("demo", "--quick", MARKETLOOM__POLICY__TOTAL_TIMESTEPS="4096")
    assert again.code == 0, again.text  # ohlcv is materialised first, which replaces the file
    assert sorted((home.folder / "policies").rglob("manifest.json")) == policies
    assert receipts(home) == decided
