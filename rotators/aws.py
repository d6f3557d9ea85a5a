"""Clients for AWS's services, made by botocore alone: boto3 imports S3's transfer manager, which no function needs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session

if TYPE_CHECKING:
    from botocore.loaders import Loader


def make_client(service: str, **options: Any) -> Any:
    """A client of a session of its own, as ``boto3.client`` makes one: same settings, and credentials looked up anew.

    Args:
        service: its name in boto3.
        options: as for ``boto3.client``.

    Raises:
        BotoCoreError: no client can be made, for want of a Region for example.
        ValueError: an endpoint is no URL.
    """
    session = botocore.session.get_session()
    session.register_component("data_loader", _loader())
    return session.create_client(service, **options)


@cache
def _loader() -> Loader:
    """What reads the services' descriptions, which are read once."""
    loader: Loader = botocore.session.get_session().get_component("data_loader")
    return loader
