"""Prompts lie in files beside their user, one per version."""

import pytest

from ml.decision import recording
from ml.decision.recording import source_digest
from ml.models import prompt_files
from ml.models.prompt_files import Prompt, load_prompt


def test_a_prompt_is_named_by_its_hash_whatever_its_version() -> None:
    one, other = Prompt("a", 1, "Judge."), Prompt("a", 2, "Judge!")
    assert len(one.hash) == 16
    assert one.hash == Prompt("b", 7, "Judge.").hash != other.hash


def test_a_version_that_does_not_exist_is_an_error_and_no_empty_prompt() -> None:
    assert load_prompt("ml.sentiment", "headline-sentiment", 1).text.startswith("You judge news")
    with pytest.raises(FileNotFoundError):
        load_prompt("ml.sentiment", "headline-sentiment", 999)


def test_a_module_is_part_of_the_code_that_decides_like_a_package(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("modules")
    text, beside = folder / "one_decider.py", folder / "another_one.py"
    monkeypatch.syspath_prepend(str(folder))
    digests = []
    for words, other in (("a = 1", "b = 1"), ("a = 2", "b = 1"), ("a = 2", "b = 2")):
        text.write_text(words)
        beside.write_text(other)
        source_digest.cache_clear()
        digests.append(source_digest(("one_decider",)))
    source_digest.cache_clear()
    assert digests[0] != digests[1] == digests[2]


def test_orders_and_invalidations_are_part_of_the_code_that_decides() -> None:
    assert {"trading.orders", "trading.invalidation"} <= set(recording._DECIDING)


def test_the_text_of_a_prompt_is_part_of_the_code_that_decides(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("package") / "decider"
    (folder / "prompt_texts").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    text = folder / "prompt_texts" / "judge-v1.txt"
    monkeypatch.syspath_prepend(str(folder.parent))
    digests = []
    for words in ("Judge.", "Judge!"):
        text.write_text(words)
        source_digest.cache_clear()
        digests.append(source_digest(("decider",)))
    source_digest.cache_clear()
    assert digests[0] != digests[1]
    assert prompt_files.load_prompt("decider", "judge", 1).text == "Judge!"
