import errno
import os
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.settings import PROJECT, chosen_file, load_settings, settings_stamp, write_chosen
from trading.errors import InvalidSettings, UnusableHome
from trading.market import Pair, Timeframe

SHIPPED = (PROJECT / "marketloom.toml").read_text(encoding="utf-8")


def environment(tmp_path: Path, text: str = SHIPPED, **variables: str) -> dict[str, str]:
    config = tmp_path / "marketloom.toml"
    config.write_text(text, encoding="utf-8")
    return {"MARKETLOOM_CONFIG": str(config), "MARKETLOOM_HOME": str(tmp_path), **variables}


def test_the_shipped_file_is_complete_and_means_what_the_domain_asks_for(tmp_path: Path) -> None:
    settings = load_settings(environment(tmp_path))
    assert settings.market.pairs == (Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC"))
    assert (settings.risk.risk_per_trade, settings.risk.position_cap, settings.risk.stop_distance) == (
        0.01,
        0.2,
        0.02,
    )
    assert (settings.risk.drawdown, settings.risk.daily_loss) == (0.1, 0.03)
    newest = {(each.taker_fee, each.maker_fee) for each in map(settings.instrument, settings.market.pairs)}
    assert newest == {(Decimal("0.004"), Decimal("0.0025"))}  # Kraken's entry tier since 2025
    assert settings.venue.capital.fixed == {"USDT": Decimal(1000), "XRP": Decimal(500)}


@pytest.mark.parametrize(
    ("day", "taker", "maker"),
    [("2009-01-01", "0.0026", "0.0016"), ("2021-06-01", "0.0026", "0.0016"),
     ("2024-12-31", "0.0026", "0.0016"), ("2025-01-01", "0.004", "0.0025"), ("2026-06-01", "0.004", "0.0025")],
)  # fmt: skip
def test_each_time_has_the_fees_that_the_venue_charged_then(
    tmp_path: Path, day: str, taker: str, maker: str
) -> None:
    settings = load_settings(environment(tmp_path))
    terms = settings.instrument(Pair("BTC", "USDT"), datetime.fromisoformat(f"{day}T00:00:00Z"))
    assert (terms.taker_fee, terms.maker_fee) == (Decimal(taker), Decimal(maker))


def test_back_tests_get_the_whole_table_of_fees_and_learning_the_newest(tmp_path: Path) -> None:
    settings = load_settings(environment(tmp_path))
    btc = Pair("BTC", "USDT")
    assert [fee for _, fee in settings.account_rules(btc).taker_fees] == [0.0026, 0.004]
    assert settings.costs(btc).taker_fee == 0.004


def test_fees_out_of_order_are_refused(tmp_path: Path) -> None:
    text = SHIPPED.replace("valid_from = 2025-01-01", "valid_from = 2009-01-01")
    with pytest.raises(InvalidSettings, match=r"\[\[venue.fees\]\] must be in order"):
        load_settings(environment(tmp_path, text))


def test_a_venue_without_fees_is_refused(tmp_path: Path) -> None:
    text = re.sub(r"\[\[venue\.fees\]\](\n\w.*)+", "", SHIPPED)
    with pytest.raises(InvalidSettings, match=r"venue\.?\]? ?\.?fees"):
        load_settings(environment(tmp_path, text))


def test_an_environment_variable_wins_over_the_file(tmp_path: Path) -> None:
    settings = load_settings(environment(tmp_path, MARKETLOOM__RISK__POSITION_CAP="0.05"))
    assert settings.risk.position_cap == 0.05


def test_an_unquoted_word_in_the_environment_is_text(tmp_path: Path) -> None:
    settings = load_settings(environment(tmp_path, MARKETLOOM__MARKET__TIMEFRAME="4h"))
    assert settings.market.timeframe is Timeframe.H4


def test_what_a_demo_chose_lies_over_the_file_and_under_the_environment(tmp_path: Path) -> None:
    variables = environment(tmp_path, MARKETLOOM__MARKET__VENUE="kraken")
    chosen_file(tmp_path).write_text('[market]\nsource = "files"\nvenue = "bitstamp"\n', encoding="utf-8")
    market = load_settings(variables).market
    assert (market.source, market.venue, market.universe.dataset) == ("files", "kraken", "kraken-1h")


CHOSEN = """[market]
source = "files"
venue = "binance"
timeframe = "1h"
until = "2022-04-30T23:00:00+00:00"
news = "/somewhere/news"
[policy]
train_months = 4
"""


def test_what_a_demo_chose_applies_to_its_source_alone(tmp_path: Path) -> None:
    variables = environment(
        tmp_path, MARKETLOOM__MARKET__SOURCE="sandbox", MARKETLOOM__MARKET__TIMEFRAME="1m"
    )
    chosen_file(tmp_path).write_text(CHOSEN, encoding="utf-8")
    settings = load_settings(variables)
    assert (settings.market.source, settings.market.known_until, settings.market.news) == (
        "sandbox",
        None,
        "",
    )
    assert settings.policy.train_months == 12


@pytest.mark.parametrize(("name", "value"), [("VENUE", "kraken"), ("TIMEFRAME", "5m")])
def test_the_end_of_a_demos_data_is_not_that_of_another_venue_or_timeframe(
    tmp_path: Path, name: str, value: str
) -> None:
    variables = environment(tmp_path, **{f"MARKETLOOM__MARKET__{name}": value})
    chosen_file(tmp_path).write_text(CHOSEN, encoding="utf-8")
    settings = load_settings(variables)
    assert (settings.market.source, settings.market.known_until) == ("files", None)
    assert settings.market.news == "/somewhere/news"
    assert settings.policy.train_months == 12


def test_a_full_disk_is_a_sentence_and_leaves_the_choice_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_chosen(tmp_path, CHOSEN)
    before = chosen_file(tmp_path).read_text(encoding="utf-8")

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UnusableHome, match=r"chosen\.toml: cannot write: No space left"):
        write_chosen(tmp_path, '[market]\nsource = "simulator"\n')
    assert chosen_file(tmp_path).read_text(encoding="utf-8") == before
    assert list(tmp_path.iterdir()) == [chosen_file(tmp_path)]


def test_a_choice_that_is_no_table_is_one_clear_message(tmp_path: Path) -> None:
    variables = environment(tmp_path, MARKETLOOM__MARKET__SOURCE="sandbox")
    chosen_file(tmp_path).write_text('market = "files"\n', encoding="utf-8")
    with pytest.raises(InvalidSettings, match="market"):
        load_settings(variables)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("position_cap         = 0.20", "position_cup = 1"), r"\[risk\] position_cup is not a known key; .*_cap"),
        (("position_cap         = 0.20", 'position_cap = "much"'), r"\[risk\] position_cap is .much.: allowed is"),
        (("position_cap         = 0.20", "position_cap = 2.0"), r"position_cap is 2.0: allowed is above 0, up to 0.5"),
        (("position_cap         = 0.20 ", "#"), r"\[risk\] position_cap is missing"),
        (('timeframe = "1h" ', 'timeframe = "7m" '), r"\[market\] timeframe is \"7m\": allowed is one of 1m, 5m,"),
        (('"XRP/BTC"]', '"XRPBTC"]'), "'XRPBTC' is not a pair: write it like BTC/USDT"),
        (('USDT", "XRP/BTC"]', 'USDT", "ETH/BTC"]'), r"names ETH/BTC, but there is no \[instruments"),
        (('mode       = "paper"', 'mode = "real"'), r"mode is \"real\": allowed is one of paper, sandbox, live"),
        (('mode       = "paper"', 'mode = "live"'), r'set \[market\] source = "kraken" and until = ""'),
        (('mode       = "paper"', 'mode = "sandbox"'), r'set \[market\] source = "sandbox" and until = ""'),
        (('venue     = "binance"', 'venue = "sandbox"'), r"\[market\] venue: sandbox is no venue"),
        (("speed             = 1.0 ", "speed = -1.0 #"), r"\[sandbox\].*speed is -1.0: allowed is 0 to 100000"),
        (('rest  = "BTC"', 'rest = "DOGE"'), r"\[venue.capital\] DOGE is in none of the pairs"),
        (('batch_size           = 4096', "batch_size = 4095"), r"\[policy\].*batch_size is 4095: allowed is 2 or more"),
        (("port = 3000", "port = 99999"), r"\[dagster\] port is 99999: .* from 1 to 65535"),
        (("[risk] ", "[risky] "), r"\[risky\] is not a known key"),
        (
            ("participation = 0.1", "fees_valid_from = 2025-01-01\nparticipation = 0.1"),
            r"\[venue\] fees_valid_from is not a known key any more: it is `valid_from` of an entry of \[\[venue.fees",
        ),
        (("[risk] ", "[risk  "), "not valid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message_naming_file_key_and_what_is_allowed(
    tmp_path: Path, wrong: tuple[str, str], said: str
) -> None:
    assert wrong[0] in SHIPPED
    with pytest.raises(InvalidSettings, match=said) as error:
        load_settings(environment(tmp_path, SHIPPED.replace(*wrong)))
    assert str(tmp_path / "marketloom.toml") in str(error.value)


LIVE = {"MARKETLOOM__MARKET__SOURCE": "kraken", "MARKETLOOM__MARKET__NEWS": "feeds"}


def test_feeds_are_read_where_candles_go_on_closing(tmp_path: Path) -> None:
    settings = load_settings(environment(tmp_path, **LIVE))
    assert settings.market.reads_feeds
    assert settings.market.sources_in_words[1] == "feeds, over the network"
    assert {feed.language for feed in settings.news.feeds} == {"en"}


@pytest.mark.parametrize(
    "market", [{"SOURCE": "simulator"}, {"SOURCE": "files"}, {"SOURCE": "sandbox"}, {"UNTIL": "2024-01-01"}]
)
def test_the_news_of_now_are_refused_for_another_time(tmp_path: Path, market: dict[str, str]) -> None:
    other = {f"MARKETLOOM__MARKET__{name}": value for name, value in market.items()}
    with pytest.raises(InvalidSettings, match="the news of now"):
        load_settings(environment(tmp_path, **(LIVE | other)))


def test_feeds_without_a_feed_are_refused(tmp_path: Path) -> None:
    none = {"MARKETLOOM__NEWS__FEEDS": "[]"}
    with pytest.raises(InvalidSettings, match="name a feed"):
        load_settings(environment(tmp_path, **LIVE, **none))
    assert load_settings(environment(tmp_path, **LIVE, **none, MARKETLOOM__NEWS__COINDESK="true"))


def test_every_mistake_is_listed_at_once(tmp_path: Path) -> None:
    text = SHIPPED.replace("port = 3000", "port = 0").replace("seed  = 1", "seed = -1")
    with pytest.raises(InvalidSettings) as error:
        load_settings(environment(tmp_path, text))
    assert len(str(error.value).splitlines()) == 2


def test_a_missing_settings_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="environment variable MARKETLOOM_CONFIG names it: correct it"):
        load_settings({"MARKETLOOM_CONFIG": str(tmp_path / "none.toml"), "MARKETLOOM_HOME": str(tmp_path)})


def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"environment variable MARKETLOOM__DAGSTER__PORT: .*port"):
        load_settings(environment(tmp_path, MARKETLOOM__DAGSTER__PORT="much"))


def test_keys_that_are_assets_or_pairs_can_be_set_from_the_environment(tmp_path: Path) -> None:
    settings = load_settings(environment(tmp_path, MARKETLOOM__VENUE__CAPITAL__USDT="700"))
    assert settings.venue.capital.fixed["USDT"] == 700


def test_a_variable_that_takes_a_value_for_a_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="is a value, not a section"):
        load_settings(environment(tmp_path, MARKETLOOM__DAGSTER="1", MARKETLOOM__DAGSTER__PORT="2"))


def test_the_end_of_what_is_known_is_a_utc_time_or_nothing(tmp_path: Path) -> None:
    assert load_settings(environment(tmp_path)).market.known_until is None
    known = load_settings(
        environment(tmp_path, MARKETLOOM__MARKET__UNTIL='"2020-02-21T23:00:00"')
    ).market.known_until
    assert known is not None
    assert known.isoformat() == "2020-02-21T23:00:00+00:00"
    with pytest.raises(InvalidSettings, match="until"):
        load_settings(environment(tmp_path, MARKETLOOM__MARKET__UNTIL="yesterday"))


def test_the_stamp_changes_with_files_and_variables(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("a = 1")
    environment = {"MARKETLOOM_CONFIG": str(file), "MARKETLOOM_HOME": str(tmp_path), "HOME": "/root"}
    first = settings_stamp(environment)
    assert settings_stamp(dict(environment)) == first
    assert settings_stamp({**environment, "MARKETLOOM__RISK__DRAWDOWN": "0.2"}) != first
    file.write_text("a = 12")
    second = settings_stamp(environment)
    assert second != first
    (tmp_path / "chosen.toml").write_text("")
    assert settings_stamp(environment) != second
