"""How much of what exact search finds the approximate index finds, too."""

from dataclasses import dataclass

from trading.ports.news_index import EmbeddingVersion, NewsFilter, NewsIndex, Vector

SAMPLE = 20  # questions: stored vectors, which is the kind that questions are of
COUNT = 10  # stories of each answer that are compared


@dataclass(frozen=True, slots=True)
class Recall:
    """`share` is 1 where no index is used: then every search is exact."""

    share: float
    questions: int


def measure_recall(
    index: NewsIndex, version: EmbeddingVersion, wanted: NewsFilter, count: int = COUNT, sample: int = SAMPLE
) -> Recall:
    """Ask for the neighbours of a sample of stored vectors, and count which of the exact ones are found.

    A story at the same distance as the last exact one is as good as that.
    """
    questions = index.sample(version, sample)
    shares = [_share(index, version, vector, wanted, count) for vector in questions]
    return Recall(sum(shares) / len(shares) if shares else 1.0, len(shares))


def _share(
    index: NewsIndex, version: EmbeddingVersion, vector: Vector, wanted: NewsFilter, count: int
) -> float:
    exact = index.nearest(version, vector, wanted, count, exact=True)
    if not exact:
        return 1.0
    bound = exact[-1].distance + 1e-6  # float32 sums differ in the last digits
    found = index.nearest(version, vector, wanted, count)
    return sum(hit.distance <= bound for hit in found) / len(exact)
