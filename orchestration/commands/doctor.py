"""`marketloom doctor`: check every dependency, and say what to do where one is missing."""

import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from rich.console import Console
from rich.text import Text

from orchestration.commands.doctor_models import examine_models
from orchestration.commands.findings import Finding, Health, finding
from orchestration.postgres.embedded import prepare_home
from orchestration.settings import PROJECT, home_folder, load_settings
from orchestration.settings_schema import Settings
from orchestration.tables import dataset_database, in_clickhouse, tape_database
from trading.errors import MarketloomError

if TYPE_CHECKING:
    from orchestration.services import Services

NEEDED_BYTES = 2 * 10**9


def examine(live: bool = False) -> list[Finding]:
    """Look at everything; one broken thing does not hide the next. `live`: also at the account that orders go to."""
    findings = [_python(), _packages(), *_settings_findings()]
    findings.append(finding("embedding model", _embedding_model))
    findings.append(examine_messengers())
    return [*findings, *(_live_findings() if live else [])]


def _live_findings() -> list[Finding]:
    from orchestration.commands.doctor_live import check_account, examine_conditions

    try:
        with _services(load_settings(), prepare_home(home_folder())) as services:
            found = check_account(services)
            return (
                found if services.settings.venue.mode == "sandbox" else found + examine_conditions(services)
            )
    except MarketloomError as error:
        return [Finding("account", Health.BROKEN, str(error))]


@contextmanager
def _services(settings: Settings, home: Path) -> Iterator["Services"]:
    from orchestration.services import Services
    from orchestration.system import postgres_addresses
    from trading.stores.postgres import migrate

    with postgres_addresses(home) as (dsn, _):
        migrate(dsn)
        yield Services(settings, home, dsn)


def _settings_findings() -> Iterator[Finding]:
    try:
        settings = load_settings()
    except MarketloomError as error:
        yield Finding("settings", Health.BROKEN, str(error))
        return
    yield Finding(
        "settings", Health.OK, f"{PROJECT / 'marketloom.toml'}, data {settings.market.universe.dataset}"
    )
    yield finding("home folder", lambda: _home(home_folder()))
    yield finding("PostgreSQL", lambda: _postgres(home_folder()))
    if in_clickhouse(settings):
        yield finding("ClickHouse", lambda: _clickhouse(settings))
    if settings.bus.kind == "kafka":
        yield finding("broker", lambda: examine_broker(settings))
    if settings.hot.store == "redis":
        yield finding("Redis", lambda: examine_redis(settings))
    if settings.venue.mode == "live":
        yield finding("real money", lambda: _real_money(settings, home_folder()))
    yield examine_port(settings)
    yield _ollama(settings)
    yield from examine_models(settings)


def _python() -> Finding:
    found = sys.version.split()[0]
    right = sys.version_info[:2] == (3, 11)
    return Finding(
        "Python", Health.OK if right else Health.BROKEN, found if right else f"{found}: install Python 3.11"
    )


def _packages() -> Finding:
    """Every dependency of pyproject.toml, against the versions it allows."""
    needed = [Requirement(text) for text in requires("marketloom") or ()]
    wrong = [fault for each in needed if not each.marker and (fault := _fault(each))]
    if wrong:
        return Finding("packages", Health.BROKEN, f"{'; '.join(wrong)}: run `make install`")
    return Finding("packages", Health.OK, f"all {len(needed)} at allowed versions, torch {version('torch')}")


def _fault(needed: Requirement) -> str:
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        return f"{needed.name} is missing"
    return (
        ""
        if needed.specifier.contains(found, prereleases=True)
        else f"{needed.name} is {found}, not {needed}"
    )


def _home(home: Path) -> str:
    free = shutil.disk_usage(prepare_home(home)).free
    if free < NEEDED_BYTES:
        raise MarketloomError(
            f"{home}: {free / 1e9:.1f} GB free; make room for 2 GB or set MARKETLOOM_HOME elsewhere"
        )
    return f"{home}, {free / 1e9:.0f} GB free"


def _postgres(home: Path) -> str:
    from orchestration.system import postgres_addresses
    from trading.stores.postgres import Database, migrate

    with postgres_addresses(home) as (dsn, _):
        migrate(dsn)
        with Database(dsn).transaction() as connection:
            found = connection.execute(
                "select current_setting('server_version') as server, "
                "(select extversion from pg_extension where extname = 'vector') as vector"
            ).fetchone()
    assert found is not None
    return f"PostgreSQL {found['server']}, pgvector {found['vector']}"


def _real_money(settings: Settings, home: Path) -> Finding:
    """Say which account trades, and why real money does not."""
    from orchestration.commands.doctor_live import NOTE_HEALTH

    with _services(settings, home) as services:
        first, *more = services.live_gate.notes(services.traded)
    words = "; ".join([first.text, *(each.text for each in more)])
    return Finding("real money", NOTE_HEALTH[first.severity], words)


def _clickhouse(settings: Settings) -> str:
    """Look at the database of the tables and at that of the tape."""
    from trading.stores.clickhouse.rights import check_server

    tables, tape = dataset_database(settings), tape_database(settings)
    versions = {check_server(each) for each in (tables, tape)}
    return f"{', '.join(versions)} at {tables.address}; databases {tables.database} and {tape.database}"


def examine_broker(settings: Settings) -> str:
    """Ask the broker of the bus for its groups."""
    from streaming.bus.kafka.groups import read_broker_groups

    groups = {each.group for each in read_broker_groups(settings.bus.brokers)}
    return f"answers at {settings.bus.brokers}; {len(groups)} consumer groups have read our topics"


def examine_redis(settings: Settings) -> str:
    """Ask the server of the hot tier whether it holds values of this market."""
    from trading.stores.hot_redis import HotRedis

    tier = HotRedis(settings.hot.redis_url, settings.market.origin)
    try:
        filled = tier.is_filled()
    finally:
        tier.close()
    return f"answers; the hot tier of {settings.market.origin} is {'filled' if filled else 'empty'}"


def _embedding_model() -> str:
    from ml.news.minilm import MINILM_SHA256, packaged_model_folder, verify_weights

    verify_weights(packaged_model_folder() / "model.safetensors")
    return f"all-MiniLM-L6-v2, weights are the published ones (SHA-256 {MINILM_SHA256[:12]})"


def examine_messengers(environment: Mapping[str, str] = os.environ) -> Finding:
    """Name who is told of alerts, by the first word of each address: the rest may be a secret. Nothing is sent."""
    from orchestration.alerting import URLS, messengers

    found = messengers(environment)
    names = ", ".join(each.name for each in found.ready)
    if found.problems:
        others = f"; the others work: {names}" if names else ""
        return Finding("messengers", Health.BROKEN, f"{'; '.join(found.problems)}{others}")
    if not names:
        advice = f"set {URLS} to the addresses of your messengers (docs/alerts.md)"
        return Finding("messengers", Health.NOTE, f"nobody is told of alerts while you are away: {advice}")
    return Finding("messengers", Health.OK, f"{names}; `marketloom alert test` sends each a message")


def examine_port(settings: Settings) -> Finding:
    host, port = settings.dagster.host, settings.dagster.port
    with socket.socket() as probe:
        probe.settimeout(0.5)
        try:
            used = probe.connect_ex((host, port)) == 0
        except OSError as error:
            advice = "correct [dagster] host or MARKETLOOM__DAGSTER__HOST"
            return Finding("UI port", Health.BROKEN, f"{host}: {error.strerror or error}; {advice}")
    if not used:
        return Finding("UI port", Health.OK, f"{host}:{port} is free")
    return Finding(
        "UI port",
        Health.NOTE,
        f"{host}:{port} is in use: the UI runs already, or choose another: marketloom dev --port 3001",
    )


def _ollama(settings: Settings) -> Finding:
    from ml.models.ollama import ollama_is_running

    url = settings.ollama.base_url
    if ollama_is_running(url, 0.5):
        return Finding("Ollama", Health.OK, f"answers at {url}")
    return Finding(
        "Ollama",
        Health.NOTE,
        f"does not answer at {url}: the packaged sentiment classifier and embedding model serve; "
        "start it with `ollama serve` to use local language models",
    )


COLOURS = {Health.OK: "green", Health.NOTE: "yellow", Health.BROKEN: "red"}


def show(findings: list[Finding], out: Console) -> None:
    for each in findings:
        mark = (f"{each.health:6}", COLOURS[each.health])
        line = Text.assemble(mark, "  ", (each.what, "bold"), "  ", each.detail)
        out.print(line, soft_wrap=True)
