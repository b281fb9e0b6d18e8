"""What is known of an article beside its text: language, kind of date, assets, content, story, when it was stored.

An article from before was stored at some time before now, tells its own story, and names no asset until its day of
`news_articles` is materialised again.
"""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE news_articles
            ADD COLUMN language text NOT NULL DEFAULT '',
            ADD COLUMN date_only boolean NOT NULL DEFAULT false,
            ADD COLUMN assets text[] NOT NULL DEFAULT '{}',
            ADD COLUMN content_hash text COLLATE "C" NOT NULL DEFAULT '',
            ADD COLUMN story_id text COLLATE "C" NOT NULL DEFAULT '',
            ADD COLUMN ingested_at timestamptz NOT NULL DEFAULT clock_timestamp();
        UPDATE news_articles SET date_only = known_at > published_at, story_id = article_id;
        ALTER TABLE news_articles
            ALTER COLUMN language DROP DEFAULT,
            ALTER COLUMN date_only DROP DEFAULT,
            ALTER COLUMN assets DROP DEFAULT,
            ALTER COLUMN content_hash DROP DEFAULT,
            ALTER COLUMN story_id DROP DEFAULT,
            ADD CHECK (story_id <> '');
        """
    )
