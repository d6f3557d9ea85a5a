"""A dashboard that shows what rotated, what failed and why, how long it took, and what is overdue."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from rotators.cdk.bundled_function import BundledFunction
from rotators.cdk.overdue_watch import OverdueWatch

# Filters on log lines. A test compares them with what a rotation logs.
ROTATED = 'message = "the step is done" and step = "finishSecret"'
FAILED = 'message = "the step failed"'
OVERDUE = 'message = "the rotation is overdue"'
_HALF, _HEIGHT = 12, 6
_MOST = 50


class RotationDashboard(Construct):
    """The dashboard of a stack.

    Args:
        functions: the rotation functions by name.
        watch: the check for overdue secrets; None: not shown.
    """

    def __init__(
        self, scope: Construct, id_: str, *, functions: Mapping[str, BundledFunction], watch: OverdueWatch | None
    ) -> None:
        super().__init__(scope, id_)
        logs = [one.log_group.log_group_name for one in functions.values()]
        dashboard = cloudwatch.Dashboard(self, "Dashboard", default_interval=Duration.days(7))
        dashboard.add_widgets(
            _query("What rotated", logs, ROTATED, ["secret", "strategy", "version"]),
            _query("What failed, and why", logs, FAILED, ["secret", "step", "error", "reason"]),
        )
        dashboard.add_widgets(
            cloudwatch.GraphWidget(
                title="How long a step takes (ms, the longest)",
                left=[one.function.metric_duration(statistic="Maximum", label=name) for name, one in functions.items()],
                width=_HALF,
                height=_HEIGHT,
            ),
            cloudwatch.GraphWidget(
                title="Steps that failed",
                left=[one.function.metric_errors(statistic="Sum", label=name) for name, one in functions.items()],
                right=[
                    one.function.metric_throttles(statistic="Sum", label=f"{name}, throttled")
                    for name, one in functions.items()
                ],
                width=_HALF,
                height=_HEIGHT,
            ),
        )
        if watch is not None:
            dashboard.add_widgets(
                _query("Which are overdue", [watch.function.log_group.log_group_name], OVERDUE, ["secret", "reason"]),
                cloudwatch.GraphWidget(title="Overdue", left=watch.overdue, width=_HALF, height=_HEIGHT),
            )


def _query(title: str, logs: list[str], condition: str, fields: list[str]) -> cloudwatch.LogQueryWidget:
    return cloudwatch.LogQueryWidget(
        title=title,
        log_group_names=logs,
        view=cloudwatch.LogQueryVisualizationType.TABLE,
        query_lines=[
            f"fields @timestamp, {', '.join(fields)}",
            f"filter {condition}",
            "sort @timestamp desc",
            f"limit {_MOST}",
        ],
        width=_HALF,
        height=_HEIGHT,
    )
