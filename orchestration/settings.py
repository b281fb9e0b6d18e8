"""Settings from marketloom.toml and the environment, as frozen objects; a mistake is one clear message."""

import datetime as dt
import json
import os
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestration.model_settings import BUILT_IN
from orchestration.settings_problems import Sources, describe_problem
from orchestration.settings_schema import Settings
from trading.atomic_files import replace_file
from trading.errors import InvalidSettings

PROJECT = Path(__file__).resolve().parents[1]
PREFIX = "MARKETLOOM__"
HOME, CONFIG = "MARKETLOOM_HOME", "MARKETLOOM_CONFIG"
CHOSEN_NOTE = "# Chosen by `marketloom demo`. Delete this file to go back to marketloom.toml."


def home_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of all data: MARKETLOOM_HOME, or `.marketloom` beside the project's own files."""
    return _path(environment, HOME, PROJECT / ".marketloom").absolute()


def settings_file(environment: Mapping[str, str] = os.environ) -> Path:
    return _path(environment, CONFIG, PROJECT / "marketloom.toml")


def _path(environment: Mapping[str, str], variable: str, default: Path) -> Path:
    try:
        return Path(environment.get(variable) or default).expanduser()
    except RuntimeError:  # ~somebody
        raise InvalidSettings(
            f"environment variable {variable}: no user of this machine has the home {environment[variable]}; "
            "write the path in full"
        ) from None


def chosen_file(home: Path) -> Path:
    """Return the file of the last demo's choice ([market] source, venue ...), so that the UI uses the same data."""
    return home / "chosen.toml"


def settings_files(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the files that the settings are read from; the second need not exist."""
    return [settings_file(environment), chosen_file(home_folder(environment))]


def settings_stamp(environment: Mapping[str, str] = os.environ) -> tuple[object, ...]:
    """Return what is different after any change of the settings' files, or of the environment, which has the keys."""
    files = []
    for path in settings_files(environment):
        try:
            found = path.stat()
            files.append((str(path), found.st_mtime_ns, found.st_size, found.st_ino))
        except OSError:
            files.append((str(path), 0, 0, 0))
    return *files, *sorted(environment.items())


def write_chosen(home: Path, text: str) -> None:
    """Replace the demo's choice as a whole; UnusableHome when it cannot be written, and the old one stays."""
    replace_file(chosen_file(home), f"{CHOSEN_NOTE}\n{text}".encode())


def lake_folder(home: Path, settings: "Settings") -> Path:
    """Return the folder of the chosen dataset's tables."""
    return home / "lake" / settings.market.universe.dataset


def load_settings(environment: Mapping[str, str] = os.environ, *, with_choice: bool = True) -> Settings:
    """Read marketloom.toml, then the home's chosen.toml, then MARKETLOOM__SECTION__KEY variables; the last one wins.

    Without `with_choice` what an earlier demo chose does not count.
    Raises InvalidSettings naming source, key and what is allowed; every problem found is listed.
    """
    path, chosen = settings_file(environment), chosen_file(home_folder(environment))
    values, sources = _read_settings_file(path, environment), Sources(str(path))
    if with_choice and _is_there(chosen):
        choice = _read_toml(chosen, "delete it: `marketloom demo` writes it anew")
        applicable = _applicable_choice(choice, values, environment)
        _merge(values, applicable)
        sources.add(str(chosen), applicable)
    for key, name in _override(values, environment).items():
        sources.overrides[key] = f"environment variable {name}"
    try:
        settings = Settings.model_validate_json(json.dumps(values, default=_plain), strict=True)
    except ValidationError as error:
        problems = [describe_problem(sources, detail) for detail in error.errors()]
        raise InvalidSettings("\n".join(dict.fromkeys(problems))) from None
    _check_universe(settings, sources)
    return settings


def settings_values(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the values of marketloom.toml with those of the variables, not checked: `load_settings` does that."""
    values = _read_settings_file(settings_file(environment), environment)
    _override(values, environment)
    return values


def _is_there(chosen: Path) -> bool:
    try:
        return chosen.is_file()
    except OSError as error:
        raise InvalidSettings(
            f"{chosen}: {error.strerror}; mend the permissions, or choose another folder with {HOME}"
        ) from None


def _applicable_choice(
    chosen: Mapping[str, Any], values: Mapping[str, Any], environment: Mapping[str, str]
) -> Mapping[str, Any]:
    """Return what fits the market that is asked for: a demo chose for its own source, and variables may name another.

    For another venue or timeframe of the same source, the end of its data and what was chosen to fit their length
    do not count.
    """
    asked = deepcopy(dict(values))
    _merge(asked, deepcopy(dict(chosen)))
    _override(asked, environment)
    market, wanted = chosen.get("market", {}), asked.get("market")
    if not isinstance(market, dict) or not isinstance(wanted, dict):
        return chosen  # the model says what is wrong with it
    differing = {
        name for name in ("source", "venue", "timeframe") if name in market and wanted[name] != market[name]
    }
    if "source" in differing:
        return {}
    return {"market": {**market, "until": ""}} if differing else chosen


def _read_settings_file(path: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    if environment.get(CONFIG):
        return _read_toml(path, f"environment variable {CONFIG} names it: correct it, or unset it")
    return _read_toml(path, f"restore marketloom.toml or set {CONFIG} to your settings file")


def _read_toml(path: Path, remedy: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettings(f"{path}: {error.strerror}; {remedy}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{path}: not valid TOML: {error}; mend that line. Or {remedy}") from None


def _override(values: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Set what MARKETLOOM__SECTION__KEY variables say; returns the variable's name by `section.key`.

    Case does not matter: a variable is matched to the key that is there, BTC/USDT and USDT included.
    """
    names = {}
    for name, text in environment.items():
        if not name.startswith(PREFIX):
            _refuse_almost_right(name)
            continue
        section, path = values, []
        *sections, key = name.removeprefix(PREFIX).split("__")
        for part in sections:
            path.append(_find_key(section, part))
            if not isinstance(section.setdefault(path[-1], {}), dict):
                raise InvalidSettings(
                    f"environment variable {name}: {'.'.join(path)} is a value, not a section"
                )
            section = section[path[-1]]
        path.append(_find_key(section, key))
        section[path[-1]] = _toml_value(text)
        names[".".join(path)] = name
    return names


def _refuse_almost_right(name: str) -> None:
    """Limits that a person set must not be passed over for an underscore."""
    if name.upper().startswith("MARKETLOOM_") and "__" in name:
        right = PREFIX + name.upper().removeprefix("MARKETLOOM_").lstrip("_")
        raise InvalidSettings(f"environment variable {name} is not read: write {right}")


def _find_key(section: Mapping[str, Any], word: str) -> str:
    new = word.upper() if any(key.isupper() for key in section) else word.lower()  # among assets: an asset
    return next((key for key in section if key.lower() == word.lower()), new)


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # an unquoted word: the shell has eaten the quotes


def _merge(values: dict[str, Any], overlay: Mapping[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def _check_universe(settings: Settings, sources: Sources) -> None:
    """Keys that must fit together."""
    for pair in settings.market.pairs:
        if pair not in settings.instruments:
            raise InvalidSettings(
                f'{sources.of("market.pairs")}: [market] pairs names {pair}, but there is no [instruments."{pair}"]'
            )
    if settings.venue.mode == "sandbox" and (settings.market.source != "sandbox" or settings.market.until):
        raise InvalidSettings(
            f'{sources.of("venue.mode", "market.source", "market.until")}: [venue] mode = "sandbox" trades at the '
            'sandbox\'s prices of now: set [market] source = "sandbox" and until = ""'
        )
    if settings.venue.mode == "live" and (settings.market.source != "kraken" or settings.market.until):
        raise InvalidSettings(
            f'{sources.of("venue.mode", "market.source", "market.until")}: [venue] mode = "live" trades at Kraken\'s '
            'prices of now: set [market] source = "kraken" and until = "" (docs/live.md)'
        )
    if settings.market.reads_feeds:
        _check_feeds(settings, sources)
    if settings.rebalancing.execute and settings.venue.mode != "paper":
        raise InvalidSettings(
            f"{sources.of('rebalancing.execute', 'venue.mode')}: [rebalancing] execute = true orders on paper only: "
            f'set it to false while [venue] mode = "{settings.venue.mode}"'
        )
    if not all(one.valid_from < other.valid_from for one, other in pairwise(settings.venue.fees)):
        raise InvalidSettings(
            f"{sources.of('venue.fees')}: [[venue.fees]] must be in order: each valid_from later than the one above it"
        )
    _check_models(settings, sources)
    if settings.simulator.end <= settings.simulator.start:
        blamed = sources.of("simulator.start", "simulator.end")
        raise InvalidSettings(f"{blamed}: [simulator] end must be later than start")
    reachable = {asset for pair in settings.market.pairs for asset in (pair.base, pair.quote)}
    if (quote := settings.market.quote) not in reachable:
        raise InvalidSettings(
            f"{sources.of('market.quote', 'market.pairs')}: [market] quote {quote} is in none of the pairs, so that "
            f"nothing could be valued in it; assets are {', '.join(sorted(reachable))}"
        )
    owned = {*settings.venue.capital.fixed, settings.venue.capital.rest}
    for section, assets in (
        ("venue.capital", owned),
        ("rebalancing.targets", set(settings.rebalancing.targets)),
    ):
        if unknown := sorted(assets - reachable):
            blamed = sources.of("market.pairs", "market.quote", f"{section}.{unknown[0]}", f"{section}.rest")
            raise InvalidSettings(
                f"{blamed}: [{section}] {unknown[0]} is in none of the pairs; assets are {', '.join(sorted(reachable))}"
            )
    if missing := sorted(owned - set(settings.rebalancing.targets)):
        blamed = sources.of("venue.capital", "rebalancing.targets")
        raise InvalidSettings(
            f"{blamed}: [rebalancing.targets] {missing[0]} is missing: 0 sells what is held of it"
        )


def _check_feeds(settings: Settings, sources: Sources) -> None:
    if not settings.market.is_live:
        raise InvalidSettings(
            f'{sources.of("market.news", "market.source", "market.until")}: [market] news = "feeds" reads the news of '
            "now, which say nothing of this market's time: name a folder of news files, or a live source without until"
        )
    if not (settings.news.feeds or settings.news.coindesk):
        raise InvalidSettings(
            f'{sources.of("news.feeds", "news.coindesk")}: [market] news = "feeds", but there is no [[news.feeds]] '
            "and [news] coindesk is false: name a feed"
        )


def _check_models(settings: Settings, sources: Sources) -> None:
    named = settings.models.named
    if taken := sorted(named.keys() & set(BUILT_IN)):
        raise InvalidSettings(
            f"{sources.of(f'models.named.{taken[0]}')}: [models.named] {taken[0]} is a word of [sentiment] model: "
            "choose another name"
        )
    if unknown := sorted(settings.agents.models - named.keys()):
        raise InvalidSettings(
            f"{sources.of('agents.traders', 'agents.analyst_model', 'agents.monitor_model', 'models.named')}: "
            f"[agents] names the model {unknown[0]}, but there is no "
            f"entry {unknown[0]} in [models.named]; entries are {', '.join(named) or 'none'}"
        )
    if (wanted := settings.sentiment.model) not in {*BUILT_IN, *named}:
        raise InvalidSettings(
            f"{sources.of('sentiment.model', 'models.named')}: [sentiment] model is {wanted}: allowed is one of "
            f"{', '.join([*BUILT_IN, *named])}; a further model is an entry of [models.named]"
        )
