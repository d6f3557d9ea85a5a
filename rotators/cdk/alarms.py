"""Alarms on a rotation function."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from rotators.cdk.bundled_function import BundledFunction

_PERIOD = Duration.minutes(5)
_NEAR = 0.9


class FunctionAlarms(Construct):
    """Alarms on errors, throttles, and steps that take nearly as long as the time-out.

    Args:
        function: the function to watch.
        topic: the topic for the alarms.
    """

    def __init__(self, scope: Construct, id_: str, *, function: BundledFunction, topic: sns.ITopic) -> None:
        super().__init__(scope, id_)
        watched = function.function
        self._alarm("Errors", watched.metric_errors(period=_PERIOD, statistic="Sum"), 1, topic, "A step failed")
        self._alarm(
            "Throttles", watched.metric_throttles(period=_PERIOD, statistic="Sum"), 1, topic, "A step could not start"
        )
        self._alarm(
            "Duration",
            watched.metric_duration(period=_PERIOD, statistic="Maximum"),
            function.options.timeout * 1000 * _NEAR,
            topic,
            "A step took nearly as long as it may",
        )

    def _alarm(
        self, id_: str, metric: cloudwatch.Metric, threshold: float, topic: sns.ITopic, description: str
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            id_,
            metric=metric,
            threshold=threshold,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=f"{description}: see the function's log",
        )
        alarm.add_alarm_action(actions.SnsAction(topic))
