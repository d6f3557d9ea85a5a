"""Runs a state machine's definition in moto's interpreter against the simulated service.

What the interpreter lacks is stood in for at its edges, and nowhere else:

- time: waits and the pauses of retries pass on the service's clock, which does what is due meanwhile;
- the reader of a Distributed Map lists objects, and does not load them (``LOAD_AND_FLATTEN``);
- a body that is JSON is not written as JSON, and the dates of replies are no texts;
- the name of Secrets Manager in errors is not spelt as Step Functions spells it, and an error needs a request's id;
- an execution runs in the thread that starts it, so that no test waits for it.

It does not end a Map Run whose tolerated failures are exceeded, and its ResultWriter writes a manifest without files.
"""

from __future__ import annotations

import functools
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import boto3
from botocore.exceptions import ClientError
from moto.core.config import default_user_config
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval import resource_eval_s3
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor import (
    distributed_item_processor_worker as workers,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.backend import execution, execution_worker

from rotators.testing import RotationService

_SdkTask = state_task_service_aws_sdk.StateTaskServiceAwsSdk
BUCKET = "results"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
ROLE = "arn:aws:iam::123456789012:role/fleet"


class Interpreter:
    """Step Functions, S3 and the simulated service, for one state machine.

    Args:
        service: the simulated service, entered.
        definition: the state machine, for a bucket of the name ``results``.
    """

    def __init__(self, service: RotationService, definition: dict[str, Any]) -> None:
        self.service = service
        self._s3 = boto3.client("s3", region_name=service.region)
        self._s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self._sfn = boto3.client("stepfunctions", region_name=service.region)
        config = definition["States"]["EachSecret"]["ItemReader"]["ReaderConfig"]
        if config.pop("Transformation") != "LOAD_AND_FLATTEN":
            raise AssertionError
        machine = self._sfn.create_state_machine(name="fleet", definition=json.dumps(definition), roleArn=ROLE)
        self.arn = machine["stateMachineArn"]

    def run(self, given: dict[str, Any], name: str | None = None) -> dict[str, Any]:
        """An execution from its input to its end, as DescribeExecution tells of it."""
        started = self._sfn.start_execution(
            stateMachineArn=self.arn, name=name or str(uuid.uuid4()), input=json.dumps(given)
        )
        return dict(self._sfn.describe_execution(executionArn=started["executionArn"]))

    def map_run(self, ran: dict[str, Any]) -> dict[str, Any]:
        """What DescribeMapRun tells of an execution's Map Run."""
        (listed,) = self._sfn.list_map_runs(executionArn=ran["executionArn"])["mapRuns"]
        return dict(self._sfn.describe_map_run(mapRunArn=listed["mapRunArn"]))

    def results(self, ran: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The results that an execution wrote, by the secrets' names."""
        found = [json.loads(text) for text in self.objects(f"runs/{ran['name']}/results/").values()]
        return {one["name"]: one for one in found}

    def objects(self, prefix: str = "") -> dict[str, str]:
        """What is in the bucket."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return {key: self._s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() for key in keys}

    def history(self, ran: dict[str, Any]) -> str:
        """All events of an execution, as a text."""
        pages = self._sfn.get_paginator("get_execution_history").paginate(executionArn=ran["executionArn"])
        return json.dumps([event for page in pages for event in page["events"]], default=str)


@contextmanager
def interpreter(service: RotationService, definition: dict[str, Any]) -> Iterator[Interpreter]:
    """An interpreter, as long as the block lasts."""
    time = _Time(service)
    clients = functools.cache(_client)
    with (
        patch.dict(default_user_config, {"stepfunctions": {"execute_state_machine": True}}),
        patch.object(execution, "ExecutionWorker", execution_worker.SyncExecutionWorker),
        patch.object(WaitFunction, "_wait_interval", lambda *_, wait_seconds, **__: time.sleep(wait_seconds)),
        patch.object(retrier_decl, "time", time),
        patch.object(
            workers.DistributedItemProcessorWorker, "eval", time.worker(workers.DistributedItemProcessorWorker.eval)
        ),
        patch.object(resource_eval_s3.ResourceEvalS3, "_handle_list_objects_v2", staticmethod(_load_and_flatten)),
        patch.object(_SdkTask, "_normalise_parameters", _written_as_json),
        patch.object(_SdkTask, "_normalise_response", _read_as_json),
        patch.object(_SdkTask, "_from_error", _with_request_id(_SdkTask._from_error)),
        patch.dict(state_task_service_aws_sdk._SERVICE_ERROR_NAMES, {"secretsmanager": "SecretsManager", "s3": "S3"}),
        # Otherwise a client and a parsed path are made for each state: minutes for a thousand secrets.
        patch.object(json_path, "parse", functools.cache(json_path.parse)),
        patch.object(
            state_task_service_aws_sdk,
            "boto_client_for",
            lambda service, region, **_: clients(region, service),
        ),
    ):
        yield Interpreter(service, definition)


class _Time:
    """Time that passes while all who could work are waiting; it is also the module ``time`` of retries."""

    def __init__(self, service: RotationService) -> None:
        self._service = service
        self._changed = threading.Condition()
        self._workers = 0
        self._waking: list[Any] = []

    def sleep(self, seconds: float) -> None:
        """Wait for so many of the clock's seconds."""
        clock = self._service.clock
        with self._changed:
            wake = clock.now + timedelta(seconds=seconds)
            self._waking.append(wake)
            while clock.now < wake:
                # Who is due works already, though it has not had its turn yet.
                if sum(one > clock.now for one in self._waking) >= self._workers:
                    clock.advance(seconds=(min(self._waking) - clock.now).total_seconds())
                    self._service.run()
                    self._changed.notify_all()
                else:
                    self._changed.wait()
            self._waking.remove(wake)

    def worker(self, work: Any) -> Any:
        """Count who could work."""

        def counted(*arguments: Any) -> None:
            with self._changed:
                self._workers += 1
            try:
                work(*arguments)
            finally:
                with self._changed:
                    self._workers -= 1
                    self._changed.notify_all()

        return counted


def _client(region: str, service: str) -> Any:
    return boto_client.boto_client_for(region=region, service=service)


def _written_as_json(_: Any, parameters: dict[str, Any], *__: Any) -> None:
    """What Step Functions makes of a body that is no bytes."""
    if "Body" in parameters:
        parameters["Body"] = to_json_str(parameters["Body"]).encode()


def _read_as_json(_: Any, response: dict[str, Any], *__: Any) -> None:
    """What Step Functions makes of a reply: JSON, with dates as texts."""
    texts = json.loads(to_json_str(response))
    response.clear()
    response.update(texts)


def _with_request_id(from_error: Any) -> Any:
    """Make an error's name of one that the simulated service has raised, which counts no requests."""

    def named(task: Any, env: Any, ex: Exception) -> Any:
        if isinstance(ex, ClientError):
            ex.response["ResponseMetadata"].setdefault("RequestId", "0a1b2c3d")
        return from_error(task, env=env, ex=ex)

    return named


def _load_and_flatten(env: Any, resource_runtime_part: Any, state_credentials: Any) -> None:
    """The entries of every object below a prefix, in the place of the list of objects."""
    parameters = env.stack.pop()
    s3 = boto_client.boto_client_for(region=resource_runtime_part.region, service="s3")
    pages = s3.get_paginator("list_objects_v2").paginate(**parameters)
    keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
    bodies = (s3.get_object(Bucket=parameters["Bucket"], Key=key)["Body"].read() for key in keys)
    env.stack.append(json.dumps([entry for body in bodies for entry in json.loads(body)]))
