"""News that can be searched: words of each article, and vectors of passages, apart by embedding version.

The vectors of before are dropped: they are of one opening per article, and can be computed again at any time.
"""

from alembic import op

revision = "0015"
down_revision = "0016"  # which was published first

WORDS = """
ALTER TABLE news_articles ADD COLUMN words tsvector GENERATED ALWAYS AS (
    setweight(to_tsvector('english', left(title, 500)), 'A') || to_tsvector('english', left(text, 20000))
) STORED;
CREATE INDEX news_articles_words ON news_articles USING gin (words);
CREATE INDEX news_articles_assets ON news_articles USING gin (assets);
CREATE INDEX news_articles_stories ON news_articles (dataset, known_at) INCLUDE (assets)
    WHERE story_id = article_id;
"""

VECTORS = """
DROP TABLE news_embeddings;
CREATE TABLE embedding_versions (
    version text COLLATE "C" NOT NULL PRIMARY KEY, -- digest of the four behind it
    dataset text NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL,
    chunking text NOT NULL,
    UNIQUE (version, dataset, dimensions)
);
-- One partition per version, made when its first vector comes: no search ever reads two.
CREATE TABLE news_embeddings (
    version text COLLATE "C" NOT NULL,
    dataset text NOT NULL,
    dimensions integer NOT NULL,
    article_id text COLLATE "C" NOT NULL,
    passage smallint NOT NULL,
    vector vector NOT NULL CHECK (vector_dims(vector) = dimensions),
    PRIMARY KEY (version, article_id, passage),
    FOREIGN KEY (version, dataset, dimensions) REFERENCES embedding_versions (version, dataset, dimensions),
    FOREIGN KEY (dataset, article_id) REFERENCES news_articles
) PARTITION BY LIST (version);
"""


def upgrade() -> None:
    op.execute(WORDS)
    op.execute(VECTORS)
