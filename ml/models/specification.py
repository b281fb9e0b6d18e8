"""What a chat model is: its provider, its name, where it answers, and how it is made to answer in a schema."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from trading.errors import InvalidValue


class Provider(StrEnum):
    OLLAMA = "ollama"
    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    XAI = "xai"
    DEEPSEEK = "deepseek"
    COMPATIBLE = "openai-compatible"  # any address that speaks OpenAI's protocol
    LOCAL = "local"  # a GGUF file, run in this process


class Structure(StrEnum):
    """The provider's means by which an answer gets its form."""

    JSON_SCHEMA = "json_schema"  # decoding is constrained to the schema
    FUNCTION_CALLING = "function_calling"  # the answer is the argument of a function that must be called
    JSON_MODE = "json_mode"  # any JSON: only the prompt says which
    NONE = "none"  # free text: only the prompt asks for JSON


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    package: str  # of PyPI, with the LangChain class
    extra: str  # of ours, that installs it; empty: it is always there
    key_variable: str  # of the environment; empty: none is needed
    structure: Structure


FACTS = {
    Provider.OLLAMA: ProviderFacts("langchain-ollama", "", "", Structure.JSON_SCHEMA),
    Provider.ANTHROPIC: ProviderFacts(
        "langchain-anthropic", "anthropic", "ANTHROPIC_API_KEY", Structure.FUNCTION_CALLING
    ),
    Provider.OPENAI: ProviderFacts("langchain-openai", "openai", "OPENAI_API_KEY", Structure.JSON_SCHEMA),
    Provider.XAI: ProviderFacts("langchain-xai", "xai", "XAI_API_KEY", Structure.FUNCTION_CALLING),
    Provider.DEEPSEEK: ProviderFacts(
        "langchain-deepseek", "deepseek", "DEEPSEEK_API_KEY", Structure.FUNCTION_CALLING
    ),
    Provider.COMPATIBLE: ProviderFacts("langchain-openai", "openai", "", Structure.JSON_SCHEMA),
    Provider.LOCAL: ProviderFacts("xllamacpp", "local-llm", "", Structure.JSON_SCHEMA),
}
_PRIVATE_NAMES = (".localhost", ".local", ".internal")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One chat model. `key_variable` names the environment variable with its key; empty: the provider's usual one."""

    provider: Provider
    model: str  # the provider's name for it; of `local` the path of a GGUF file
    base_url: str = ""  # empty: the provider's own
    key_variable: str = ""
    structure: Structure | None = None  # None: the provider's usual means
    temperature: float = 0.0
    max_output_tokens: int = 256

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise InvalidValue("model must name a model of the provider")
        if self.provider is Provider.COMPATIBLE and not self.base_url:
            raise InvalidValue(
                "base_url must say where it answers, such as https://host/v1, for provider openai-compatible"
            )

    @property
    def facts(self) -> ProviderFacts:
        return FACTS[self.provider]

    @property
    def key_name(self) -> str:
        return self.key_variable or self.facts.key_variable

    @property
    def means(self) -> Structure:
        return self.structure or self.facts.structure

    @property
    def priced_as(self) -> str:
        """Return the name under which the price table has it."""
        return f"{self.provider}/{self.model}"

    @property
    def is_local(self) -> bool:
        """Return whether it answers on this machine or in a private network. That does not make it free: a proxy
        there forwards to vendors who send a bill, and so does an Ollama server for its models of the cloud."""
        if self.provider is Provider.LOCAL:
            return True
        if self.provider is Provider.OLLAMA:
            return not self.base_url or _is_private(urlsplit(self.base_url).hostname or "")
        return self.provider is Provider.COMPATIBLE and _is_private(urlsplit(self.base_url).hostname or "")

    @property
    def runs_here(self) -> bool:
        """Return whether it is known to run where it answers, so that without a price it is free."""
        is_cloud = self.provider is Provider.OLLAMA and self.model.endswith(("-cloud", ":cloud"))
        return self.is_local and self.provider is not Provider.COMPATIBLE and not is_cloud

    @property
    def address(self) -> str:
        """Return scheme, host and path where it answers, without a password; empty: the provider's own."""
        parts = urlsplit(self.base_url)
        return (
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
            if self.base_url
            else ""
        )

    @property
    def name(self) -> str:
        """Name the model as every result does: where it answers, when that is not the provider's own address.

        Reads the file of a local model; InvalidModel where it cannot be read.
        """
        if self.provider is Provider.LOCAL:
            from ml.models.gguf import fingerprint

            path = Path(self.model).expanduser()
            return f"local/{path.name}#{fingerprint(path)}"
        if self.base_url and self.provider is not Provider.OLLAMA:
            return f"{self.provider}/{urlsplit(self.base_url).netloc.rpartition('@')[2]}/{self.model}"
        return self.priced_as


def _is_private(host: str) -> bool:
    """Return whether the host is loopback, of a private network, or a name that no public server has."""
    try:
        address = ip_address(host)
    except ValueError:
        return host[:1].isalpha() and ("." not in host or host.endswith(_PRIVATE_NAMES))
    return address.is_loopback or address.is_private
