"""The Lambda handler for Amazon Redshift, provisioned and Serverless."""

from rotators.database import DatabaseRotator
from rotators.engines.redshift import RedshiftEngine

handler = DatabaseRotator(RedshiftEngine())
