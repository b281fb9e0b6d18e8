"""Passages, fusion and the retriever, each against its definition."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.news.description import describe
from ml.retrieval.fusion import fuse
from ml.retrieval.passages import CHUNKING, MAX_CHARACTERS, MAX_PASSAGES, passages
from ml.retrieval.recall import measure_recall
from ml.retrieval.retriever import NewsQuestion, NewsRetriever, embedding_version
from tests.doubles.stores import MemoryNews, MemoryNewsIndex
from trading.errors import InvalidValue, ModelUnreachable, NotStored
from trading.market import Pair
from trading.ports import ARTICLE_SCHEMA
from trading.ports.news_index import Candidates, EmbeddingVersion, NewsFilter, TextHit, Vector, VectorHit

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_short_article_is_one_passage_behind_its_title() -> None:
    assert passages("XRP wins.", "The court has ruled.") == ("XRP wins. The court has ruled.",)
    assert passages("XRP wins", "XRP wins: the court has ruled.") == ("XRP wins. the court has ruled.",)
    assert passages("XRP wins", "") == ("XRP wins.",)
    assert passages("", "The court has ruled.") == ("The court has ruled.",)


def test_a_long_article_is_cut_between_sentences_and_the_last_one_is_repeated() -> None:
    sentences = [f"Sentence {number:02} says something about the market of today." for number in range(30)]
    found = passages("Title", " ".join(sentences))
    assert all(each.startswith("Title. Sentence") and each.endswith("today.") for each in found)
    assert max(map(len, found)) <= MAX_CHARACTERS + len("Title. ")
    assert all(sentence in " ".join(found) for sentence in sentences)
    for before, after in itertools.pairwise(found):
        assert after.removeprefix("Title. ").startswith(before[-len(sentences[0]) :])


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=400), st.integers(1, 60))
def test_no_text_gives_a_passage_beyond_the_limits_or_loses_a_word(text: str, repeat: int) -> None:
    whole = text * repeat
    found = passages("T", whole)
    assert 1 <= len(found) <= MAX_PASSAGES
    assert max(map(len, found)) <= MAX_CHARACTERS + len("T. ")
    if len(found) < MAX_PASSAGES:
        told = "".join("".join(found).split())
        assert set("".join(whole.strip().removeprefix("T").split())) - set(" .:–—-") <= set(told)


def hit(article: str, distance: float = 0.5, age: timedelta = timedelta()) -> VectorHit:
    return VectorHit(article, NOON - age, 0, distance)


def test_the_score_is_reciprocal_rank_fusion_times_decay_and_says_its_parts() -> None:
    candidates = Candidates(
        (hit("both", 0.1, DAY), hit("near", 0.2)), (TextHit("words", NOON), TextHit("both", NOON - DAY)), 0
    )
    ranked = {each.article_id: each.score for each in fuse(candidates, NOON, DAY)}
    assert ranked["both"].value == pytest.approx((1 / 61 + 1 / 62) / 2)
    assert ranked["near"].value == pytest.approx(1 / 62)
    assert ranked["words"].value == pytest.approx(1 / 61)
    both = ranked["both"]
    assert (both.vector_rank, both.text_rank, both.decay) == (1, 2, 0.5)
    assert both.similarity == pytest.approx(0.9)
    assert (ranked["words"].vector_rank, ranked["words"].similarity) == (None, None)
    assert list(ranked) == ["words", "both", "near"]


def test_equal_scores_put_the_newer_first_and_the_id_decides_the_rest() -> None:
    candidates = Candidates((hit("b"),), (TextHit("a", NOON),), 0)
    assert [each.article_id for each in fuse(candidates, NOON, DAY)] == ["a", "b"]


def test_of_two_stories_that_fit_alike_the_fresh_one_comes_first() -> None:
    candidates = Candidates((hit("old", 0.1, 5 * DAY), hit("fresh", 0.2)), (), 0)
    assert [each.article_id for each in fuse(candidates, NOON, DAY)] == ["fresh", "old"]


class Directions:
    """An embedder that knows three subjects."""

    dimensions = 3

    def __init__(self, name: str = "directions") -> None:
        self.name = name

    def embed(self, texts: Sequence[str]) -> Vector:
        rows = [[1.0 + text.count(word) * 9 for word in ("court", "hack", "rate")] for text in texts]
        vectors = np.array(rows, np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class World:
    """Articles that are described, embedded and searched as the assets do it."""

    def __init__(self) -> None:
        self.news, self.embedder = MemoryNews(), Directions()
        self.index = MemoryNewsIndex(self.news)
        self.retriever = NewsRetriever(self.index, self.news, lambda: self.embedder, DAY)

    def tell(self, article: str, title: str, text: str, hours_ago: float, source: str = "Wire") -> None:
        known = NOON - timedelta(hours=hours_ago)
        row = (article, known, known, source, title, text, f"https://{source}/{article}", "en", False)
        earlier = self.news.articles(NOON - 9 * DAY, NOON + DAY)
        frame = ARTICLE_SCHEMA.to_frame().vstack(type(earlier)([row], ARTICLE_SCHEMA, orient="row"))
        self.news.put_articles(describe(frame, earlier))
        told = passages(title, text)
        places = [(article, number) for number in range(len(told))]
        self.index.put(embedding_version(self.embedder), places, self.embedder.embed(told))

    def ask(self, text: str, **given: object) -> list[str]:
        question = NewsQuestion(text, **{"as_of": NOON, **given})  # type: ignore[arg-type]
        return [each.article_id for each in self.retriever.retrieve(question).articles]


@pytest.fixture
def world() -> World:
    world = World()
    fined = "The regulator fined the exchange on Tuesday over the listing of XRP, the court confirmed."
    world.tell("court", "Court fines exchange over XRP", fined, 5)
    world.tell("copy", "Court fines exchange over XRP", fined, 4, "Daily")
    world.tell("hack", "Bitcoin wallet hack", "A hack took all of the coins of the wallet.", 3)
    world.tell("rate", "Central bank keeps its rate", "The rate stays where it is.", 2)
    return world


def test_what_fits_comes_first_and_each_story_once(world: World) -> None:
    assert world.ask("court ruling")[0] == "court"
    assert sorted(world.ask("news of today")) == ["court", "hack", "rate"]


def test_a_pair_leaves_its_own_stories_and_a_time_what_was_known(world: World) -> None:
    assert world.ask("hack", pair=Pair("XRP", "USDT")) == ["court"]
    assert sorted(world.ask("hack", pair=Pair("XRP", "BTC"))) == ["court", "hack"]
    assert world.ask("hack", as_of=NOON - timedelta(hours=3)) == ["court"]
    assert world.ask("hack", since=NOON - timedelta(hours=2)) == ["rate"]
    assert world.ask("court", count=1) == ["court"]


def test_an_answer_can_be_cited_and_names_the_version_it_is_of(world: World) -> None:
    found = world.retriever.retrieve(NewsQuestion("court ruling", NOON))
    first = found.articles[0]
    assert first.passage.startswith("Court fines exchange over XRP. The regulator fined")
    assert (first.known_at, first.source, first.assets) == (NOON - timedelta(hours=5), "Wire", ("XRP",))
    assert found.version == EmbeddingVersion("directions", 3, CHUNKING)
    assert found.unembedded == 0


def test_a_changed_model_finds_nothing_of_the_one_before_and_says_what_to_do(world: World) -> None:
    world.embedder = Directions("newer")
    with pytest.raises(NotStored, match="materialise news_embeddings"):
        world.ask("court")


def test_a_model_that_does_not_answer_is_no_absence_of_news(world: World) -> None:
    class Silent(Directions):
        def embed(self, texts: Sequence[str]) -> Vector:
            raise ModelUnreachable("it does not answer")

    world.embedder = Silent()
    with pytest.raises(ModelUnreachable):
        world.ask("court")


@pytest.mark.parametrize(
    "wrong", [{"text": " "}, {"count": 0}, {"count": 51}, {"as_of": datetime(2024, 5, 1)}]  # noqa: DTZ001
)  # fmt: skip
def test_an_impossible_question_is_refused(world: World, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        NewsQuestion(**{"text": "court", "as_of": NOON, **wrong})  # type: ignore[arg-type]


class Forgetful(MemoryNewsIndex):
    """An approximate index that never finds the story `hack`."""

    def nearest(self, *given: object, exact: bool = False) -> tuple[VectorHit, ...]:
        found = super().nearest(*given)  # type: ignore[arg-type]
        return found if exact else tuple(each for each in found if each.article_id != "hack")


def test_recall_is_the_share_of_the_exact_answer_that_the_index_finds(world: World) -> None:
    version, wanted = embedding_version(world.embedder), NewsFilter(NOON)
    assert measure_recall(world.index, version, wanted).share == 1
    forgetful = Forgetful(world.news)
    forgetful.vectors = world.index.vectors
    assert measure_recall(forgetful, version, wanted).share == pytest.approx(2 / 3)
    nothing = measure_recall(world.index, EmbeddingVersion("none", 3, "x"), wanted)
    assert (nothing.share, nothing.questions) == (1, 0)
