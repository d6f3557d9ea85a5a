"""Rotate the secrets of AWS Secrets Manager: four steps, once, for any database and any service.

Start with :class:`rotators.rotator.Rotator` (any API) or :class:`rotators.database.DatabaseRotator` (any
database); ``rotators.handlers`` holds a ready Lambda handler for each engine.
"""

__version__ = "0.1.0"
