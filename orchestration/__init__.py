"""The composition root: the only place that knows everything; nobody imports it."""

import warnings

# Backfill policies and partition mappings are what every partitioned project uses; told once per asset it is noise.
warnings.filterwarnings("ignore", message=r"(?s).* is currently in (beta|preview)")
