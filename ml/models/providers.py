"""LangChain's chat models, built for one answer schema."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.models.answers import ANSWER
from ml.models.specification import ModelSpec, Provider, Structure
from trading.errors import InvalidSettings, NotAuthorised

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

Messages = Sequence[tuple[str, str]]
Chat = Callable[[Messages], Any]  # returns a LangChain message, raises whatever the client raises

SEED = 0
_OPENAI_PROTOCOL = (Provider.OPENAI, Provider.COMPATIBLE, Provider.LOCAL)
_NO_KEY = "none"  # clients want one even where the server asks for none


def missing_extra(spec: ModelSpec) -> str:
    """Return the command that installs what the provider needs; empty when it is there."""
    modules = [spec.facts.package.replace("-", "_")]
    modules += ["langchain_openai"] if spec.provider is Provider.LOCAL else []
    if all(importlib.util.find_spec(each) for each in modules):
        return ""
    return f"pip install 'marketloom[{spec.facts.extra}]'"


def api_key(spec: ModelSpec, environment: Mapping[str, str]) -> str:
    """Return the key from the environment; NotAuthorised where the provider needs one and none is set."""
    key = environment.get(spec.key_name, "") if spec.key_name else ""
    if spec.key_name and not key:
        raise NotAuthorised(f"{spec.priced_as}: set {spec.key_name} in the environment to its key")
    return key


def build_chat(spec: ModelSpec, schema: Mapping[str, Any], seconds: float, key: str = "") -> Chat:
    """Build the model with the provider's means to answer in `schema` (JSON schema, every property required).

    No client retries by itself: limits of time and money count calls. InvalidSettings where a package is missing, or
    the provider does not have the means that are asked for.
    """
    if command := missing_extra(spec):
        raise InvalidSettings(f"{spec.priced_as} needs packages that are not installed: {command}")
    if spec.provider is Provider.OLLAMA:
        return _ollama(spec, schema, seconds).invoke
    return _structured(_vendor_model(spec, seconds, key), spec, schema).invoke


def _ollama(spec: ModelSpec, schema: Mapping[str, Any], seconds: float) -> "Runnable[Any, Any]":
    """Build it without streaming: the time limit of a stream would count from its latest piece."""
    from langchain_ollama import ChatOllama

    formats: dict[Structure, Any] = {Structure.JSON_SCHEMA: dict(schema), Structure.JSON_MODE: "json"}
    if spec.means is Structure.FUNCTION_CALLING:
        raise _wrong_means(spec, "json_schema, json_mode and none")
    options = {"base_url": spec.base_url} if spec.base_url else {}
    model = ChatOllama(
        model=spec.model,
        # The proxy variables of the environment do not count: the configured address is the one to connect to.
        client_kwargs={"timeout": seconds, "trust_env": False},
        format=formats.get(spec.means),
        temperature=spec.temperature,
        seed=SEED,
        num_predict=spec.max_output_tokens,
        reasoning=False,  # a model that thinks for the whole time limit never answers
        **options,
    )
    return model.bind(stream=False)


def _vendor_model(spec: ModelSpec, seconds: float, key: str) -> "BaseChatModel":
    from langchain.chat_models import init_chat_model

    base_url, model = spec.base_url, spec.model
    if spec.provider is Provider.LOCAL:
        from ml.models.local_server import serve_gguf

        server = serve_gguf(Path(spec.model).expanduser())
        base_url, key, model = server.base_url, server.key, Path(spec.model).name
    options: dict[str, Any] = {"base_url": base_url} if base_url else {}
    if spec.is_local:
        options["seed"] = SEED
    built: BaseChatModel = init_chat_model(
        model,
        model_provider=Provider.OPENAI if spec.provider in _OPENAI_PROTOCOL else spec.provider,
        api_key=key or _NO_KEY,
        timeout=seconds,
        max_retries=0,
        temperature=spec.temperature,
        max_tokens=spec.max_output_tokens,
        **options,
    )
    return built


def _structured(model: "BaseChatModel", spec: ModelSpec, schema: Mapping[str, Any]) -> "Runnable[Any, Any]":
    match spec.means:
        case Structure.FUNCTION_CALLING:
            function = {"name": ANSWER, "description": "Gives the answer.", "parameters": dict(schema)}
            return model.bind_tools([{"type": "function", "function": function}], tool_choice=ANSWER)
        case Structure.NONE:
            return model
        case _ if spec.provider is Provider.ANTHROPIC:
            raise _wrong_means(spec, "function_calling and none")
        case Structure.JSON_MODE:
            return model.bind(response_format={"type": "json_object"})
        case _:
            form = {"name": ANSWER, "schema": dict(schema), "strict": True}
            return model.bind(response_format={"type": "json_schema", "json_schema": form})


def _wrong_means(spec: ModelSpec, known: str) -> InvalidSettings:
    return InvalidSettings(f"{spec.priced_as}: structure {spec.means} is not to be had; {known} are")
