"""A wrong setting is blamed on what set it, in plain words, whatever is wrong with it."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestration.settings import PROJECT, chosen_file, home_folder, load_settings
from trading.errors import InvalidSettings

SHIPPED = (PROJECT / "marketloom.toml").read_text(encoding="utf-8")
WRONG = ('"much [x]"', "-1", "nan", "true", '["a"]', "{a = 1}", "2024-01-01")
FOREIGN_WORDS = re.compile(
    r"\bInput\b|\^|\$'|pydantic|parse|valid (string|number|integer|boolean|date)|"
    r"isoformat|value_error|function-|dataclass|Mapping|Decimal|None\b|should"
)


def keys(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from keys(value, (*above, name))


KEYS = list(keys(tomllib.loads(SHIPPED)))


def variable(path: tuple[str, ...]) -> str:
    return f"MARKETLOOM__{'__'.join(path).upper()}"


def problem(tmp_path: Path, text: str = SHIPPED, **variables: str) -> str:
    """Load settings that cannot be, and return the message."""
    config = tmp_path / "marketloom.toml"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidSettings) as error:
        load_settings({"MARKETLOOM_CONFIG": str(config), "MARKETLOOM_HOME": str(tmp_path), **variables})
    return str(error.value)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_of_any_key_blames_its_variable_in_plain_words(tmp_path: Path, wrong: str) -> None:
    environment = {"MARKETLOOM_HOME": str(tmp_path)}
    refused = 0
    for path in KEYS:
        try:
            load_settings({**environment, variable(path): wrong})
        except InvalidSettings as error:
            refused += 1
            for line in str(error).splitlines():
                assert line.startswith(f"environment variable {variable(path)}: ["), line
                assert not FOREIGN_WORDS.search(line.partition("]")[2].replace("known are", "")), line
    assert refused > 0.8 * len(KEYS)  # some words, numbers and days are right somewhere


@pytest.mark.parametrize("section", sorted({path[0] for path in KEYS}))
def test_an_unknown_key_in_a_variable_blames_it_and_names_the_known_ones(
    tmp_path: Path, section: str
) -> None:
    said = problem(tmp_path, **{f"MARKETLOOM__{section.upper()}__COLOUR": "1"})
    assert said.startswith(f"environment variable MARKETLOOM__{section.upper()}__COLOUR: [")


def test_a_variable_of_a_section_that_is_none_is_to_blame(tmp_path: Path) -> None:
    said = problem(tmp_path, MARKETLOOM__RISKY__CAP="1")
    assert said.startswith("environment variable MARKETLOOM__RISKY__CAP: [risky] is not a known key")


def test_a_right_variable_is_not_blamed_for_the_file(tmp_path: Path) -> None:
    text = SHIPPED.replace("position_cap         = 0.20", "position_cap = 2.0")
    said = problem(tmp_path, text, MARKETLOOM__RISK__DRAWDOWN="0.1")
    assert said.startswith(f"{tmp_path / 'marketloom.toml'}: [risk]: position_cap is 2.0")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("RISK__POSITION_CAP", "2", "position_cap is 2.0: allowed is above 0"),
        ("MARKET__PAIRS", '["BTC/USDT", "much"]', "'much' is not a pair"),
        ("MARKET__PAIRS", '["ETH/BTC"]', "there is no"),
        ("VENUE__MODE", "sandbox", "set [market] source"),
        ("SIMULATOR__END", "2020-01-01", "end must be later than start"),
        ("VENUE__CAPITAL__DOGE", "7", "DOGE is in none of the pairs"),
        ("REBALANCING__TARGETS__DOGE", "0", "DOGE is in none of the pairs"),
        ("REBALANCING__TARGETS__BTC", "0.5", "targets add up to 1.1"),
        ("MARKET__QUOTE", "EUR", "is in none of the pairs"),
    ],
)
def test_keys_that_do_not_fit_together_blame_the_variable_that_is_wrong(
    tmp_path: Path, name: str, value: str, says: str
) -> None:
    said = problem(tmp_path, **{f"MARKETLOOM__{name}": value})
    assert said.startswith(f"environment variable MARKETLOOM__{name}: ")
    assert says in said


def test_what_the_demo_chose_is_to_blame_when_it_is_wrong(tmp_path: Path) -> None:
    chosen_file(tmp_path).write_text('[market]\ntimeframe = "7m"\n', encoding="utf-8")
    assert problem(tmp_path).startswith(f"{chosen_file(tmp_path)}: [market] timeframe")
    chosen_file(tmp_path).write_text("no toml", encoding="utf-8")
    assert "delete it" in problem(tmp_path)


def test_a_name_with_one_underscore_too_few_is_not_passed_over(tmp_path: Path) -> None:
    said = problem(tmp_path, MARKETLOOM_RISK__POSITION_CAP="0.05")
    assert said == (
        "environment variable MARKETLOOM_RISK__POSITION_CAP is not read: write MARKETLOOM__RISK__POSITION_CAP"
    )


def test_a_home_of_nobody_blames_the_variable() -> None:
    with pytest.raises(
        InvalidSettings, match=r"environment variable MARKETLOOM_HOME: no user .* ~nobody-here"
    ):
        home_folder({"MARKETLOOM_HOME": "~nobody-here/home"})


@pytest.mark.parametrize(
    ("variable", "empty"),
    [
        ("MARKETLOOM__STREAM__TIMEFRAMES", "[]"),
        ("MARKETLOOM__STREAM__METRICS_HOST", ""),
        ("MARKETLOOM__BUS__BROKERS", ""),
    ],
)
def test_what_must_not_be_empty_says_so(tmp_path: Path, variable: str, empty: str) -> None:
    assert re.search(r"is empty: allowed is .*, not empty$", problem(tmp_path, **{variable: empty}))
