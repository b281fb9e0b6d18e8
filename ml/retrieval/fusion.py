"""Two rankings as one, and older news as less: reciprocal rank fusion with a half-life."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from trading.ports.news_index import Candidates

# Cormack, Clarke & Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", 2009
RANK_CONSTANT = 60


@dataclass(frozen=True, slots=True)
class Score:
    """Why a story is where it is: `value` is the sum of 1 / (60 + rank) over both rankings, times `decay`."""

    value: float
    vector_rank: int | None  # from 1; None: not among the nearest
    text_rank: int | None  # from 1; None: not among those with the words of the question
    similarity: float | None  # cosine, -1 .. 1, of its nearest passage
    decay: float  # 1 at the time of the question, halved by each half-life


@dataclass(frozen=True, slots=True)
class Ranked:
    article_id: str
    known_at: datetime
    passage: int | None  # its nearest; None where only words found it
    score: Score


def fuse(candidates: Candidates, as_of: datetime, half_life: timedelta) -> list[Ranked]:
    """Rank the stories of both rankings, best first; of equal scores the newer comes first, then by id."""
    by_vector = {hit.article_id: (rank, hit) for rank, hit in enumerate(candidates.by_vector, 1)}
    by_text = {hit.article_id: rank for rank, hit in enumerate(candidates.by_text, 1)}
    known = {hit.article_id: hit.known_at for hit in candidates.by_vector}
    known |= {hit.article_id: hit.known_at for hit in candidates.by_text}
    ranked = []
    for article, known_at in known.items():
        vector_rank, hit = by_vector.get(article, (None, None))
        text_rank = by_text.get(article)
        decay = 0.5 ** ((as_of - known_at) / half_life)
        fused = sum(1 / (RANK_CONSTANT + rank) for rank in (vector_rank, text_rank) if rank)
        similarity = 1 - hit.distance if hit else None
        score = Score(fused * decay, vector_rank, text_rank, similarity, decay)
        ranked.append(Ranked(article, known_at, hit.passage if hit else None, score))
    return sorted(ranked, key=lambda each: (-each.score.value, -each.known_at.timestamp(), each.article_id))
