"""Runs that start at once: tagged jobs of any Dagster project in warm worker processes (docs/fast-lane.md).

It knows nothing of what the jobs do. `dagster.yaml` names its coordinator and its launcher.
"""

from orchestration.fast_lane.coordinator import FastLaneCoordinator
from orchestration.fast_lane.launcher import FastLaneLauncher
from orchestration.fast_lane.tags import LANE

__all__ = ["LANE", "FastLaneCoordinator", "FastLaneLauncher"]
