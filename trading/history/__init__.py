"""History of venues: candles and trades fetched page by page and cached on disk, so that nothing is fetched twice."""
