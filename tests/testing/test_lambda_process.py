"""AWS's runtime client in its own process, against the kit's Runtime API."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rotators.errors import ServiceFailed
from rotators.testing.context import FakeLambdaContext
from rotators.testing.lambda_process import LambdaProcess, add_runtime, protect

pytestmark = pytest.mark.slow
NOWHERE = "http://127.0.0.1:9"


def function(folder: Path, code: str) -> Path:
    """A function of one module, laid out as Lambda has it."""
    (folder / "task").mkdir()
    (folder / "task" / "function.py").write_text(code)
    add_runtime(folder)
    protect(folder)
    return folder


def test_an_invocation_has_its_deadline_its_arn_its_trace_and_its_request(tmp_path: Path) -> None:
    code = """
import os, pathlib
def handler(event, context):
    try:
        pathlib.Path("written").touch()
        writes = True
    except OSError:
        writes = False
    return {"event": event, "left": context.get_remaining_time_in_millis(), "arn": context.invoked_function_arn,
            "trace": os.environ["_X_AMZN_TRACE_ID"], "name": context.function_name, "request": context.aws_request_id,
            "folder": os.getcwd(), "writes": writes}
"""
    with LambdaProcess(function(tmp_path, code), NOWHERE, {}) as process:
        first, second = (process({"number": number}, FakeLambdaContext(20)) for number in (1, 2))
        assert process.import_seconds is not None
        assert process.resident_bytes > 1_000_000
        assert process.cpu_seconds > 0
    assert first["event"] == {"number": 1}
    assert 0 < first["left"] <= 20_000
    assert first["arn"] == "arn:aws:lambda:eu-west-1:123456789012:function:rotate"
    assert first["name"] == "rotate"
    assert re.fullmatch(r"Root=1-\w{8}-\w{24};Parent=\w{16};Sampled=1", first["trace"])
    assert second["event"] == {"number": 2}
    assert second["trace"] != first["trace"]
    assert second["request"] != first["request"]
    assert first["folder"] == str(tmp_path / "task")


def test_an_error_is_posted_with_its_kind_its_text_and_its_frames(tmp_path: Path) -> None:
    code = "def handler(event, context):\n    raise ValueError('no good')\n"
    with LambdaProcess(function(tmp_path, code), NOWHERE, {}) as process:
        with pytest.raises(ServiceFailed, match="no good"):
            process({}, FakeLambdaContext())
        answer = process.answer
    assert (answer.kind, answer.body["errorType"], answer.body["errorMessage"]) == ("error", "ValueError", "no good")
    assert 'function.py", line 2, in handler' in "".join(answer.body["stackTrace"])
    assert "lambda-runtime-function-xray-error-cause" in answer.headers


def test_an_import_that_fails_is_an_error_of_the_init_phase(tmp_path: Path) -> None:
    with LambdaProcess(function(tmp_path, "import nothing_of_that_name\n"), NOWHERE, {}) as process:
        assert process.answer.kind == "init/error"
        assert process.answer.headers["lambda-runtime-function-error-type"] == "Runtime.ImportModuleError"
        with pytest.raises(ServiceFailed, match="No module named 'nothing_of_that_name'"):
            process({}, FakeLambdaContext())


def test_it_is_ended_by_sigterm_and_says_nothing(tmp_path: Path) -> None:
    with LambdaProcess(function(tmp_path, "def handler(event, context):\n    pass\n"), NOWHERE, {}) as process:
        assert process({}, FakeLambdaContext()) is None
        assert process.exit_code is None
    assert process.exit_code == -15
    assert process.output == []


def test_a_function_whose_time_is_over_is_killed(tmp_path: Path) -> None:
    code = "import threading\ndef handler(event, context):\n    threading.Event().wait()\n"
    with LambdaProcess(function(tmp_path, code), NOWHERE, {}) as process:
        with pytest.raises(ServiceFailed, match=r"Task timed out after 0\.\d\d seconds"):
            process({}, FakeLambdaContext(0.3))
        assert process.exit_code == -9


def test_hooks_run_before_a_snapshot_and_after_its_restore(tmp_path: Path) -> None:
    code = """
from snapshot_restore_py import register_after_restore, register_before_snapshot
seen = []
register_before_snapshot(seen.append, "before")
register_after_restore(seen.append, "after")
def handler(event, context):
    return seen
"""
    with LambdaProcess(function(tmp_path, code), NOWHERE, {}, snap_start=True) as process:
        assert process.api.snapshot.wait(60)
        process.api.restore.set()
        assert process({}, FakeLambdaContext()) == ["before", "after"]


def test_a_hook_that_fails_after_a_restore_is_told(tmp_path: Path) -> None:
    code = "import snapshot_restore_py as hooks\nhooks.register_after_restore(int, 'none')\ndef handler(*_): pass\n"
    with LambdaProcess(function(tmp_path, code), NOWHERE, {}, snap_start=True) as process:
        process.api.restore.set()
        with pytest.raises(ServiceFailed, match="invalid literal"):
            process({}, FakeLambdaContext())
    assert process.answer.kind == "restore/error"
