"""The verifier that Redshift stores for a password."""

from __future__ import annotations

import hashlib


def verifier(user: str, password: str) -> str:
    """The verifier of a password, so that the plaintext never leaves this process.

    MD5, though SHA-256 is to be had: for a user who has the latter Redshift asks for a method of authentication that
    libpq and what is built on it do not speak, so that the user would be locked out of them.
    https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
    """
    return f"md5{hashlib.md5(password.encode() + user.encode()).hexdigest()}"  # noqa: S324  # the server's choice
