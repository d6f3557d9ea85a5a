"""What is for applications is no part of a function."""

from __future__ import annotations

from rotators.packaging import bundles


def test_no_file_of_the_client_is_in_a_functions_layer() -> None:
    shipped = [path for path, _ in bundles._sources()]
    assert "rotators/rotator.py" in shipped
    assert not [path for path in shipped if path.startswith(("rotators/client/", "rotators/cli/"))]
