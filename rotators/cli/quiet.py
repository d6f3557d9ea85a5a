"""Keeps a rotator's log and metrics out of a command's output."""

from __future__ import annotations

import logging
import os

from rotators.logs import logger


def silence_logs() -> None:
    """Let a rotator that runs in this process write neither log lines nor metrics."""
    os.environ["POWERTOOLS_METRICS_DISABLED"] = "true"
    logging.getLogger(logger.name).setLevel(logging.CRITICAL + 1)
