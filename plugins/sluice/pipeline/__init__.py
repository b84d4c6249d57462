"""One run of a pipeline; knows nothing of Airflow."""

from __future__ import annotations

from sluice.pipeline.run import RunReport, run_pipeline
from sluice.pipeline.steps import Sensed, load, publish, sense, transform

__all__ = ["RunReport", "Sensed", "load", "publish", "run_pipeline", "sense", "transform"]
