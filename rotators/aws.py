"""Clients for AWS's services, made by botocore alone: boto3 imports S3's transfer manager, which no function needs."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError

# What botocore raises where an answer is a proxy's or a wrong endpoint's, and none of the service's: its parsers take
# for granted that there is an object.
UNREADABLE = (ResponseParserError, AttributeError, KeyError, TypeError, ValueError)


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
    loader = _loader()
    loader.asked_for.add(service)
    session.register_component("data_loader", loader)
    return session.create_client(service, **options)


class _Loader(Loader):
    """Reads the services' descriptions, each once.

    botocore looks through the folders of all its 400 services, twice, to see whether there is one of a name: a quarter
    of what a client takes. Here the one that is asked for is looked for alone.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked_for: set[str] = set()

    def list_available_services(self, type_name: str) -> list[str]:
        """The services that were asked for. One that is not there ends with botocore's DataNotFoundError."""
        del type_name
        return sorted(self.asked_for)


@cache
def _loader() -> _Loader:
    # AWS_DATA_PATH, as botocore's own loader heeds it.
    paths = botocore.session.get_session().get_config_variable("data_path") or ""
    return _Loader(extra_search_paths=[str(Path(one).expanduser()) for one in paths.split(os.pathsep) if one])
