"""The Lambda function that looks for overdue secrets: ``rotators.handlers.overdue.handler``."""

from rotators.overdue import OverdueCheck

handler = OverdueCheck()
