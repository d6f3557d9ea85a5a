"""The Lambda handler for DocumentDB and MongoDB."""

from rotators.database import DatabaseRotator
from rotators.engines.mongo import MongoEngine

handler = DatabaseRotator(MongoEngine())
