"""A vector carries what a search filters by, so that no vector is read beside its article.

Approximate indexes are dropped: `news_embeddings` builds the new kind when it is materialised next; until then every
search is exact.
"""

from alembic import op

revision = "0019"
down_revision = "0018"

# PostgreSQL guesses that one row of 200 has two equal columns; of a column of its own it keeps statistics.
STORIES = """
ALTER TABLE news_articles ADD COLUMN is_story boolean NOT NULL GENERATED ALWAYS AS (story_id = article_id) STORED;
DROP INDEX news_articles_stories;
CREATE INDEX news_articles_stories ON news_articles (dataset, known_at, article_id) INCLUDE (assets) WHERE is_story;
-- A search would read what waits to be put into the index, up to 4 MB, row by row.
ALTER INDEX news_articles_words SET (fastupdate = off);
ALTER INDEX news_articles_assets SET (fastupdate = off);
SELECT gin_clean_pending_list('news_articles_words'), gin_clean_pending_list('news_articles_assets');
"""
DROP_INDEXES = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relname LIKE 'news\\_hnsw\\_%' AND relkind = 'i' LOOP
        EXECUTE format('DROP INDEX %I', name);
    END LOOP;
END $$;
"""
# A column that is computed anew rewrites the table: the update has left every vector in it twice.
COLUMNS = """
ALTER TABLE news_embeddings ADD COLUMN known_at timestamptz, ADD COLUMN assets text[], ADD COLUMN is_story boolean;
UPDATE news_embeddings e SET known_at = a.known_at, assets = a.assets, is_story = a.is_story
    FROM news_articles a WHERE a.dataset = e.dataset AND a.article_id = e.article_id;
ALTER TABLE news_embeddings ALTER COLUMN known_at TYPE timestamptz USING known_at + interval '0',
    ALTER COLUMN known_at SET NOT NULL, ALTER COLUMN assets SET NOT NULL, ALTER COLUMN is_story SET NOT NULL;
CREATE INDEX news_embeddings_stories ON news_embeddings (known_at) INCLUDE (passage, assets) WHERE is_story;
CREATE INDEX news_embeddings_assets ON news_embeddings USING gin (assets) WITH (fastupdate = off)
    WHERE is_story;
"""
# FOR SHARE: an article that changes meanwhile waits, and then finds the vector.
TRIGGERS = """
CREATE FUNCTION describe_news_embedding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT known_at, assets, is_story INTO NEW.known_at, NEW.assets, NEW.is_story
        FROM news_articles WHERE dataset = NEW.dataset AND article_id = NEW.article_id FOR SHARE;
    IF NOT FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('article %s is not stored', NEW.article_id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER describe BEFORE INSERT ON news_embeddings FOR EACH ROW EXECUTE FUNCTION describe_news_embedding();

CREATE FUNCTION describe_news_embeddings_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE news_embeddings SET known_at = NEW.known_at, assets = NEW.assets, is_story = NEW.is_story
        WHERE version IN (SELECT version FROM embedding_versions WHERE dataset = NEW.dataset)
        AND article_id = NEW.article_id;
    RETURN NULL;
END $$;
CREATE TRIGGER describe_embeddings AFTER UPDATE ON news_articles FOR EACH ROW
    WHEN ((OLD.known_at, OLD.assets, OLD.is_story) IS DISTINCT FROM (NEW.known_at, NEW.assets, NEW.is_story))
    EXECUTE FUNCTION describe_news_embeddings_again();
"""


def upgrade() -> None:
    for statement in (STORIES, DROP_INDEXES, COLUMNS, TRIGGERS):
        op.execute(statement)
