CREATE DATABASE dagster;
-- Its events do not wait for the disk: a run writes a dozen, and no money rests on them (decision 33).
ALTER DATABASE dagster SET synchronous_commit = off;
