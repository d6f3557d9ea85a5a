"""The steps of a rotation, as Secrets Manager names them.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
