"""The system user of the embedded PostgreSQL."""

import os
import pwd
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestration.postgres import server_user
from orchestration.postgres.server_user import ServerUser, choose_user

STARTERS = 4


def test_many_that_start_at_once_as_root_create_one_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users: dict[str, Any] = {}
    looked = threading.Barrier(STARTERS)
    first_look = threading.local()

    def find(name: str) -> Any:
        found = users.get(name)
        if not hasattr(first_look, "done"):  # each of them has seen that there is none
            first_look.done = True
            looked.wait(60)
        if found is None:
            raise KeyError(name)
        return found

    def create(command: list[str], **_: Any) -> None:
        number = 999 - len(users)
        users[command[-1]] = pwd.struct_passwd((command[-1], "x", number, number, "", "/", "/bin/sh"))
        users[f"entry {len(users)}"] = number

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", find)
    monkeypatch.setattr(subprocess, "run", create)
    monkeypatch.setattr(server_user, "ACCOUNTS", tmp_path)
    with ThreadPoolExecutor(STARTERS) as pool:
        chosen = list(pool.map(choose_user, [tmp_path / "postgres"] * STARTERS))
    assert chosen == [ServerUser(999, 999)] * STARTERS
