"""The packaged classifier: what it says, what it refuses to judge, and the file that it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from ml.news.minilm_layer import MiniLMLayers
from ml.sentiment.classifier import COMPANY, CRYPTO, ClassifierSentiment, decide, features_of, subject_of
from ml.sentiment.head import PACKAGED, LinearHead, Weights, read_weights, write_weights
from ml.sentiment.labelled import (
    accuracy,
    grouped_folds,
    macro_f1,
    near_duplicate_groups,
    predicted_labels,
    read_labelled,
)
from ml.sentiment.lexicon import LexiconSentiment
from ml.sentiment.masking import mask_assets
from ml.sentiment.pair import UNREADABLE, Sentiment
from ml.sentiment.training import Examples, Recipe, fit_head, main, out_of_fold
from trading.errors import InvalidModel, InvalidValue

UNKNOWN_LABEL = "text,label\nBitcoin rises,great\n"


@pytest.fixture(scope="module")
def model() -> ClassifierSentiment:
    return ClassifierSentiment()


def scores(model: ClassifierSentiment, *texts: str) -> list[float]:
    return [each.score for each in model.score(texts)]


# --- what it says


def test_plain_good_and_bad_news_have_their_signs(model: ClassifierSentiment) -> None:
    good = scores(
        model, "XRP rallies as buyers return", "Ripple partners with large bank", "Ether climbs to a record"
    )
    bad = scores(model, "XRP slumps as sellers return", "Exchange hacked, bitcoin stolen", "SEC sues Ripple")
    assert min(good) > 0 > max(bad)


def test_what_is_no_news_is_neutral(model: ClassifierSentiment) -> None:
    assert scores(model, "Five charts of Bitcoin to look at this week", "How to store your XRP") == [0.0, 0.0]


@pytest.mark.parametrize("headline", ["SEC drops its appeal against Ripple", "Judge dismisses XRP lawsuit"])
def test_an_ending_has_the_last_word(model: ClassifierSentiment, headline: str) -> None:
    assert scores(model, headline)[0] > 0


def test_the_same_news_of_another_asset_has_the_same_score(model: ClassifierSentiment) -> None:
    bitcoin, ripple = scores(model, "Bitcoin falls after outage", "Ripple falls after outage")
    assert bitcoin == pytest.approx(ripple, abs=1e-4)


def test_a_label_in_front_and_repeated_names_are_masked() -> None:
    assert mask_assets("[simulated] XRP, Ethereum and Litecoin rise") == "Bitcoin rise"
    assert mask_assets("Tether and Cardano's plans") == "Tether and Bitcoin plans"


def test_every_judgement_names_the_version_of_its_weights(model: ClassifierSentiment) -> None:
    assert model.name == "minilm-lexicon/2"


def test_a_text_scores_the_same_alone_and_among_others(model: ClassifierSentiment) -> None:
    texts = ["Bitcoin falls", "A long headline about XRP and the many things that happened to it", "ETH up"]
    assert scores(model, *texts) == pytest.approx([scores(model, text)[0] for text in texts], abs=1e-4)


def test_no_text_gives_no_score(model: ClassifierSentiment) -> None:
    assert model.score([]) == []


# --- what it does not judge


@pytest.mark.parametrize(
    "text",
    [
        "Bitcoin bricht ein: Hacker stehlen Millionen",
        "Ripple gana juicio contra SEC",
        "Le bitcoin chute après la décision de la SEC",
        "Preço do Bitcoin cai forte hoje",
        "ビットコインが急騰",
        "Биткоин падает",
        "asdf qwer zxcv hjkl bitcoin",
        "Bitcoin 🚀🚀🚀",
        "",
    ],
)
def test_another_language_and_no_language_are_not_judged(model: ClassifierSentiment, text: str) -> None:
    assert model.score([text]) == [UNREADABLE]


@pytest.mark.parametrize(
    "text",
    [
        "Bitcoin plummets",
        "Binance delists Monero",
        "BTC to the moon",
        "Tesla buys bitcoin",
        "XRP price surges",
    ],
)
def test_short_english_headlines_are_judged(model: ClassifierSentiment, text: str) -> None:
    assert model.score([text])[0].confidence > 0


@pytest.mark.parametrize(
    ("headline", "sign"),
    [
        ("Shipyard wins an order for two ferries", 1),
        ("Paper maker to close a mill and dismiss 200 workers", -1),
        ("Bank slips to a loss of EUR 3 mn from a profit of EUR 5 mn", -1),
        ("Losses at steel maker narrow to EUR 4 million", 1),
        ("The annual general meeting elected six members", 0),
        ("The tool supports eight languages and improves the layout of pages", 0),
    ],
)
def test_company_news_has_its_sign(model: ClassifierSentiment, headline: str, sign: int) -> None:
    assert np.sign(scores(model, headline)[0]) == sign


def test_company_news_goes_to_the_lexicon_where_the_weights_have_no_head_for_it(tmp_path: Path) -> None:
    write_weights(tmp_path / "own.json", weights())
    text = "Operating profit of the shipyard rose in the quarter"
    vocabulary = frozenset(text.lower().split())
    assert subject_of(text, vocabulary) == COMPANY
    assert subject_of("Profit of the bitcoin miner rose", vocabulary | {"miner", "bitcoin"}) == CRYPTO
    assert ClassifierSentiment(tmp_path / "own.json").score([text]) == LexiconSentiment().score([text])


def test_a_side_that_hardly_leads_is_none() -> None:
    assert decide("Bitcoin moves", np.array([0.3, 0.33, 0.37]), Sentiment(0.0, 0.5)).score == 0.0
    assert decide("Bitcoin moves", np.array([0.1, 0.3, 0.6]), Sentiment(0.0, 0.5)).score == 0.5


# --- the file


def weights(seed: int = 0) -> Weights:
    random = np.random.default_rng(seed)
    head = LinearHead(random.normal(size=(777, 3)), random.normal(size=3), 4)
    return Weights("test", {CRYPTO: head}, {})


def test_the_packaged_file_is_a_few_kilobytes_and_says_what_it_was_trained_on() -> None:
    assert PACKAGED.stat().st_size < 16_000
    found = read_weights(PACKAGED)
    files = {subject: each["file"] for subject, each in found.trained_on.items()}
    # none that forbids commercial use: decision 37
    assert files == {CRYPTO: "cryptolin_dev.csv", COMPANY: "company_sentences.txt"}
    assert found.heads.keys() == files.keys()
    assert found.trained_on[CRYPTO]["lexicon"] == LexiconSentiment.name


def test_the_same_weights_give_the_same_bytes_and_come_back(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    assert write_weights(first, weights()) == write_weights(second, weights())
    assert first.read_bytes() == second.read_bytes()
    found = read_weights(first).heads[CRYPTO]
    assert np.allclose(found.weights, weights().heads[CRYPTO].weights, rtol=1e-3, atol=1e-6)


def test_weights_of_another_file_are_named_after_it(tmp_path: Path) -> None:
    write_weights(tmp_path / "own.json", weights())
    assert ClassifierSentiment(tmp_path / "own.json").name == "minilm-lexicon/test"


@pytest.mark.parametrize("change", ["weights", "bias", "layer", "trained_on", "version"])
def test_a_changed_file_is_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "weights.json"
    write_weights(path, weights())
    other = tmp_path / "other.json"
    changed = {CRYPTO: replace(weights(1).heads[CRYPTO], layer=5)}
    write_weights(other, Weights("other", changed, {"x": 1}))
    body, donor = orjson.loads(path.read_bytes()), orjson.loads(other.read_bytes())
    where = (body, donor) if change in body else (body["heads"][CRYPTO], donor["heads"][CRYPTO])
    where[0][change] = where[1][change]
    path.write_bytes(orjson.dumps(body))
    with pytest.raises(InvalidModel, match="was changed"):
        read_weights(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\x80\x04pickle"])
def test_what_is_no_weights_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.json"
    path.write_bytes(content)
    with pytest.raises(InvalidModel, match=r"weights\.json"):
        read_weights(path)
    with pytest.raises(InvalidModel, match="cannot be read"):
        read_weights(tmp_path / "absent.json")


# --- learning


def test_company_news_is_judged_by_a_head_of_its_own_where_the_weights_have_one(tmp_path: Path) -> None:
    layers, lexicon, plants = MiniLMLayers(), LexiconSentiment(), range(8)
    texts = [f"Operating loss of plant {number} widened" for number in plants]
    texts += [f"The office of plant {number} is in town" for number in plants]
    texts += [f"Operating profit of plant {number} rose" for number in plants]
    labels, no_anchors = np.repeat(np.arange(3), len(plants)), features_of([], layers, 4, lexicon)
    given = Examples(
        features_of(texts, layers, 4, lexicon),
        labels,
        np.arange(len(texts)),
        no_anchors,
        np.empty(0, np.int64),
    )
    head = fit_head(given, Recipe(0.1, 1.0), 4)
    write_weights(tmp_path / "own.json", Weights("own", {COMPANY: head}, {}))
    news = ["Operating profit of the shipyard rose", "Operating loss of the shipyard widened"]
    good, bad = ClassifierSentiment(tmp_path / "own.json").score(news)
    assert good.score > 0 > bad.score
    assert good != lexicon.score(news)[0]


def test_the_command_asks_for_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--crypto", "rows.csv"])
    assert "--out or --evaluate" in capsys.readouterr().err


def examples(rows: int = 60) -> Examples:
    """Three labels that one feature tells apart, and one that says nothing; rows in pairs of near-duplicates."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(rows // 2) % 3, 2)
    features = np.column_stack([labels + random.normal(0, 0.1, rows), random.normal(size=rows)])
    return Examples(features, labels, np.arange(rows) // 2, np.empty((0, 2)), np.empty(0, np.int64))


def test_a_head_learns_what_features_say_and_learns_the_same_twice() -> None:
    first, second = (fit_head(examples(), Recipe(1.0, 0.75), 4) for _ in range(2))
    assert np.array_equal(first.weights, second.weights)
    assert accuracy(examples().labels, first.probabilities(examples().features).argmax(axis=1)) > 0.9


def test_near_duplicates_stay_on_one_side_and_the_recipe_is_chosen_without_the_unseen_rows() -> None:
    given, chosen_on = examples(), []

    def choose(training: Examples) -> Recipe:
        chosen_on.append(set(training.groups.tolist()))
        return Recipe(1.0, 1.0)

    out_of_fold(given, choose, 5, 0)
    folds = list(grouped_folds(given.labels, given.groups, 5, 0))
    for (_, unseen), seen_groups in zip(folds, chosen_on, strict=True):
        assert seen_groups.isdisjoint(given.groups[unseen].tolist())


def test_rows_that_are_near_through_a_third_are_one_group() -> None:
    angles = np.array([0.0, 0.3, 0.6, 2.0])
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    groups = near_duplicate_groups(vectors, threshold=0.9)
    assert len(set(groups[:3])) == 1
    assert groups[3] not in groups[:3]


def test_macro_f1_is_the_mean_over_the_labels() -> None:
    labels, predicted = np.array([0, 0, 1, 2]), predicted_labels(np.array([-0.5, 0.0, 0.0, 1.0]))
    assert predicted.tolist() == [0, 1, 1, 2]
    assert macro_f1(labels, predicted) == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)


def test_an_unknown_label_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(UNKNOWN_LABEL, encoding="utf-8")
    with pytest.raises(InvalidValue, match="great"):
        read_labelled(tmp_path / "rows.csv")
