"""Clients for AWS services, made with botocore: boto3 also imports S3's transfer manager, which no function needs."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError

# What botocore raises if a proxy or a wrong endpoint answers instead of the service: its parsers assume that the answer
# is an object.
UNREADABLE = (ResponseParserError, AttributeError, KeyError, TypeError, ValueError)


def make_client(service: str, **options: Any) -> Any:
    """Make a client in a new session. It uses the settings of ``boto3.client``, and looks up credentials again.

    Args:
        service: the service's name in boto3.
        options: as for ``boto3.client``.

    Returns:
        The client.

    Raises:
        BotoCoreError: no client can be made, for example because no Region is set.
        ValueError: an endpoint is not a URL.
    """
    session = botocore.session.get_session()
    loader = _loader()
    loader.asked_for.add(service)
    session.register_component("data_loader", loader)
    return session.create_client(service, **options)


class _Loader(Loader):
    """Reads each service's description once.

    botocore searches the folders of all its 400 services, twice, to see whether a service exists: a quarter of the time
    that making a client takes. This loader looks only for the requested service.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked_for: set[str] = set()

    def list_available_services(self, type_name: str) -> list[str]:
        """The requested services. For one that does not exist, botocore then raises DataNotFoundError."""
        del type_name
        return sorted(self.asked_for)


@cache
def _loader() -> _Loader:
    # AWS_DATA_PATH, which botocore's own loader reads too.
    paths = botocore.session.get_session().get_config_variable("data_path") or ""
    return _Loader(extra_search_paths=[str(Path(one).expanduser()) for one in paths.split(os.pathsep) if one])
