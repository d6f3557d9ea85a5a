"""The user's own rotator, packaged, in an interpreter that has nothing else: what is deployed is what was tested."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from doubles.key_api import KeyApi

from rotators.errors import PackagingFailed
from rotators.packaging.bundles import Bundles
from rotators.packaging.custom import CustomRotator
from rotators.packaging.platforms import of_this_machine
from rotators.testing import RotationService
from rotators.testing.endpoint import served
from rotators.testing.lambda_process import LambdaProcess, lay_out

PAGE = Path(__file__).parents[2] / "docs/how-to/write-a-rotator.md"
LOCK = "# Nothing: urllib is Python's own.\n"


@pytest.mark.slow
def test_the_packaged_rotator_of_the_how_to_rotates_a_secret(
    rotation_service: RotationService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    source = tmp_path / "src"
    source.mkdir()
    (source / "reports.py").write_text(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[-1])
    (tmp_path / "requirements.txt").write_text(LOCK)
    bundles = Bundles(of_this_machine(), lambda _: None)
    function = bundles.custom(CustomRotator(source, "reports.handler", tmp_path / "requirements.txt"))
    try:
        base = bundles.base()
    except PackagingFailed as missing:
        reason = f"the layers for this machine are not made yet (make layers): {missing}"
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(reason)
    lay_out(function.path, [base.path], tmp_path / "lambda")
    with (
        KeyApi() as api,
        served(rotation_service) as endpoint,
        LambdaProcess(tmp_path / "lambda", endpoint, {}, "reports.handler") as process,
    ):
        assert process.files["rotators"].startswith(str(tmp_path / "lambda" / "opt"))
        assert process.files["reports"] == str(tmp_path / "lambda" / "task" / "reports.py")
        assert not {"moto", "rotators.testing", "rotators.packaging"} & process.files.keys()
        first = {**api.create(), "url": api.url}
        arn = rotation_service.create_secret("reports", first, process)
        for _ in range(2):
            assert rotation_service.rotate(arn).error is None
        assert api.deleted == [first["id"]]
        # An error names the place in the rotator's own code as Lambda has it.
        monkeypatch.setattr(KeyApi, "answer", lambda *_: (500, []))
        text = str(rotation_service.rotate(arn).error)
        assert re.search(r"an unexpected TypeError in call, /\S*/task/reports\.py:\d+, the rotator's own code", text)
