"""The bus: topics of messages that consumer groups follow. One back end per file."""
