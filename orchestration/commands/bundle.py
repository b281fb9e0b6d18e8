"""`marketloom bundle`: writes a decision as one portable file, and verifies such a file with nothing but itself."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console

from ml.decision.decision_bundle import PolicyFiles, verify_bundle, write_bundle
from ml.decision.restoring import restore_tables
from ml.learning.policy import MANIFEST, WEIGHTS
from orchestration.commands.replay import EXIT_CODES
from orchestration.services import Services
from orchestration.system import running_system
from trading.errors import InvalidBundle
from trading.market import Pair

CHANGED = 3  # exit code for a file that is not as it was written
Facts = dict[str, Any]


def bundle_decision(decision_id: str, path: Path | None) -> Facts:
    """Write the decision to `path`, `decision-ID.jsonl` without one. NotStored for an unknown id or a lost input."""
    with running_system():
        services = Services.current()
        journal = services.journal
        receipt = journal.decision(decision_id)
        target = path or Path(f"decision-{receipt['decision_id'][:8]}.jsonl")
        policy = _policy_files(services, receipt)
        chain = write_bundle(target, receipt, journal.inputs, policy, _articles(services, receipt))
    return {
        "decision_id": receipt["decision_id"],
        "file": str(target),
        "bytes": target.stat().st_size,
        "chain": chain,
    }


def _policy_files(services: Services, receipt: Facts) -> PolicyFiles | None:
    if (policy_id := receipt["inputs"]["policy_id"]) is None:
        return None
    folder = services.policies.folder_of_policy(Pair.parse(receipt["pair"]), policy_id)
    return PolicyFiles((folder / MANIFEST).read_bytes(), (folder / WEIGHTS).read_bytes())


def _articles(services: Services, receipt: Facts) -> pl.DataFrame:
    """Read the texts behind the judgements, for people: the decision itself reads the judgements alone."""
    judged = restore_tables(receipt["inputs"], services.journal.inputs).news
    until = datetime.fromisoformat(receipt["decided_at"])
    since = until if judged.is_empty() else judged["known_at"][0]
    articles = services.news_store.articles(since, until + timedelta(microseconds=1))
    return articles.join(judged.select("article_id").unique(), on="article_id", how="semi")


def verify_file(path: Path) -> tuple[Facts, int]:
    """Verify a bundle without any store or setting; returns the facts and the exit code."""
    try:
        replay, chain = verify_bundle(path)
    except InvalidBundle as error:
        return {"file": str(path), "verdict": "changed", "reason": str(error)}, CHANGED
    facts = {"file": str(path), "chain": chain, **replay.facts(), "words": str(replay)}
    return facts, EXIT_CODES[replay.verdict]


def show(facts: Facts, out: Console) -> None:
    """Print what was written, or what verifying has shown."""
    if "verdict" not in facts:
        words = f"{facts['file']}: decision {facts['decision_id']}, {facts['bytes']:,} bytes, chain {facts['chain']}"
    elif facts["verdict"] == "changed":
        words = f"{facts['file']}: {facts['reason']}"
    else:
        words = f"{facts['file']}: {facts['words']}; chain {facts['chain']}"
    out.print(words, soft_wrap=True, markup=False, highlight=False)
