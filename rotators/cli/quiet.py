"""Keeps a rotator's log and metrics out of a command's output."""

from __future__ import annotations

import logging
import os

from rotators.logs import logger


def silence_logs() -> None:
    """Switch off the log and the metrics of a rotator that runs in this process."""
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"
    logging.getLogger(logger.name).setLevel(logging.CRITICAL + 1)
