"""What runs in the network, in a Lambda function: it needs boto3, moto, pytest and the drivers, and neither the CDK nor
a terminal."""

TASKS = ("service", "rotations", "conformance")
"""What the function can be told to look at."""
