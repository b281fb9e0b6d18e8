"""The sentences of our own that the packaged `company` head learns from."""

import hashlib
import re
from collections import Counter

from ml.sentiment.company_sentences import SENTENCES, company_sentences
from ml.sentiment.head import PACKAGED, read_weights


def test_the_same_seed_gives_the_same_sentences_and_no_slot_is_left_open() -> None:
    texts, labels = company_sentences()
    assert (texts, labels) == company_sentences()
    assert not [text for text in texts if re.search(r"[\[\]{}|]", text)]
    assert company_sentences(seed=1)[0] != texts


def test_each_label_has_its_share() -> None:
    counts = Counter(company_sentences()[1])
    assert counts.keys() == {0, 1, 2}
    assert max(counts.values()) < 2 * min(counts.values())


def test_the_larger_amount_is_larger() -> None:
    texts = [text for text in company_sentences()[0] if "profit" in text and " from EUR " in text]
    pairs = [re.findall(r"EUR (\d+\.\d) (?:mn|million|bn)", text) for text in texts]
    risen = [
        (float(pair[0]) > float(pair[1])) == bool(re.search(r"rose|grew|climb|increas|improv", text))
        for pair, text in zip(pairs, texts, strict=True)
        if len(pair) == 2
    ]
    assert len(risen) > 5
    assert all(risen)


def test_the_packaged_head_was_trained_on_these_very_sentences() -> None:
    described = read_weights(PACKAGED).trained_on["company"]
    assert described["file"] == SENTENCES.name
    assert described["sha256"] == hashlib.sha256(SENTENCES.read_bytes()).hexdigest()
    assert described["rows"] == len(company_sentences()[0])
