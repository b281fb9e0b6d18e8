"""The composition root: builds every concrete class; no other package imports it."""

import warnings

# Backfill policies and partition mappings are what every partitioned project uses; a warning per asset is noise.
warnings.filterwarnings("ignore", message=r"(?s).* is currently in (beta|preview)")
