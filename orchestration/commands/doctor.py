"""`marketloom doctor`: check every dependency, and say what to do where one is missing."""

import shutil
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from rich.console import Console
from rich.text import Text

from orchestration.commands.findings import Finding, Health, finding
from orchestration.postgres.embedded import prepare_home
from orchestration.settings import PROJECT, home_folder, load_settings
from orchestration.settings_schema import Settings
from orchestration.tables import dataset_database, in_clickhouse, tape_database
from trading.errors import MarketloomError

NEEDED_BYTES = 2 * 10**9


def examine(live: bool = False) -> list[Finding]:
    """Look at everything; one broken thing does not hide the next. `live`: also at the account that orders go to."""
    findings = [_python(), _packages(), *_settings_findings()]
    findings.append(finding("embedding model", _embedding_model))
    return [*findings, *(_live_findings() if live else [])]


def _live_findings() -> list[Finding]:
    from orchestration.commands.doctor_live import examine_live, live_account

    try:
        with live_account(load_settings(), prepare_home(home_folder())) as account:
            return examine_live(account)
    except MarketloomError as error:
        return [Finding("account", Health.BROKEN, str(error))]


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
    yield examine_port(settings)
    yield _ollama(settings)


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
        f"does not answer at {url}: the finance lexicon and the packaged embedding model serve; "
        "start it with `ollama serve` to use local language models",
    )


COLOURS = {Health.OK: "green", Health.NOTE: "yellow", Health.BROKEN: "red"}


def show(findings: list[Finding], out: Console) -> None:
    for each in findings:
        mark = (f"{each.health:6}", COLOURS[each.health])
        line = Text.assemble(mark, "  ", (each.what, "bold"), "  ", each.detail)
        out.print(line, soft_wrap=True)
