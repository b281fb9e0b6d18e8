"""History of venues: candles and trades fetched page by page and kept on disk, so that nothing is asked for twice."""
