"""The ``rotators`` command: one module per sub-command. Not part of the Lambda package."""
