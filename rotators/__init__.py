"""Rotation functions for AWS Secrets Manager: one implementation of the four steps, for any database or service.

Start with :class:`rotators.rotator.Rotator` (any API) or :class:`rotators.database.DatabaseRotator` (any
database). ``rotators.handlers`` has a ready Lambda handler for each engine.
"""

__version__ = "0.1.0"
