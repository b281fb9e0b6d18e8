"""Dagster's web server behind our guard: `python -m orchestration.webserver`, with the options of dagster-webserver."""

import os
from functools import wraps
from typing import Any

from dagster_webserver import cli
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.types import ASGIApp

from orchestration.settings import load_settings
from orchestration.web_guard import TOKEN, WebGuard


@wraps(create_app_from_workspace_process_context)
def _create_guarded_app(*arguments: Any, **options: Any) -> ASGIApp:
    settings = load_settings().dagster
    app = create_app_from_workspace_process_context(*arguments, **options)
    return WebGuard(app, settings.host, settings.allowed_hosts, os.environ.get(TOKEN, ""))


if __name__ == "__main__":
    # The command builds its application by this name and has no option for what stands before it.
    vars(cli)["create_app_from_workspace_process_context"] = _create_guarded_app
    cli.cli(auto_envvar_prefix="DAGSTER_WEBSERVER")
