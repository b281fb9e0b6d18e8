"""A GGUF file as a chat model in this process: llama.cpp's server on a loopback port (extra `local-llm`)."""

import importlib.util
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from ml.models.gguf import fingerprint
from trading.errors import InvalidSettings, ModelUnreachable

LOAD_SECONDS = 120.0  # for gigabytes from a slow disk
CONTEXT_TOKENS = 4096  # of prompt and answer together: prompts of this project have at most about 1000
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class LocalServer:
    base_url: str
    key: str  # of this process alone: other users of the machine are refused
    engine: Any  # ends with the process

    def is_ready(self) -> bool:
        import httpx

        try:
            address = f"{self.base_url.removesuffix('/v1')}/health"
            return httpx.get(address, timeout=2.0, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


_running: dict[tuple[Path, str], LocalServer] = {}
_lock = Lock()


def is_installed() -> bool:
    return importlib.util.find_spec("xllamacpp") is not None


def serve_gguf(path: Path, threads: int | None = None) -> LocalServer:
    """Load the file once per process, and return where it answers. `threads` None: half of the cores.

    The other half stays for the stream and the decisions: threads of the engine wait for each other at full speed.

    Raises InvalidModel for a file that is no GGUF, InvalidSettings without the extra, ModelUnreachable when the engine
    does not get ready.
    """
    with _lock:
        identity = path.resolve(), fingerprint(path)
        if identity not in _running:
            _running[identity] = _start(path, threads)
        return _running[identity]


def _start(path: Path, threads: int | None) -> LocalServer:
    if not is_installed():
        raise InvalidSettings(
            "provider local needs llama.cpp's engine: pip install 'marketloom[local-llm]', or use Ollama"
        )
    import xllamacpp

    parameters, key = xllamacpp.CommonParams(), secrets.token_urlsafe(24)
    parameters.model.path = str(path)
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.api_keys = [key]
    parameters.n_ctx, parameters.n_parallel, parameters.verbosity = CONTEXT_TOKENS, 1, 1  # 1: errors alone
    count = threads or max(1, (os.cpu_count() or 1) // 2)
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = count
    try:
        engine = xllamacpp.Server(parameters)
    except Exception as error:
        raise ModelUnreachable(f"llama.cpp cannot load {path}: {error}") from error
    server = LocalServer(f"{engine.listening_address}/v1", key, engine)
    deadline = time.monotonic() + LOAD_SECONDS
    while not server.is_ready():
        if time.monotonic() > deadline:
            raise ModelUnreachable(f"llama.cpp did not load {path} within {LOAD_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)
    return server
