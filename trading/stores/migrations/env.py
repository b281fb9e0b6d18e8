"""Alembic asks for this file by name; the connection and its transaction are the caller's."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="marketloom_schema")
with context.begin_transaction():
    context.run_migrations()
