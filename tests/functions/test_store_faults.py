"""What AWS's refusals and silences become above the store."""

import uuid
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from functions import log
from functions.api.ports import StoreError, UnavailableError
from functions.api.store import AwsStore
from local.processes import free_port
from tests.functions.fakes import ENV, NOW_MS, record_of


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ProvisionedThroughputExceededException", 400, UnavailableError),
        ("ThrottlingException", 400, UnavailableError),
        ("InternalServerError", 500, UnavailableError),
        ("ServiceUnavailable", 503, UnavailableError),
        ("TooManyRequests", 429, UnavailableError),
        ("AccessDeniedException", 400, StoreError),
        ("ResourceNotFoundException", 400, StoreError),
    ],
)
def test_what_aws_says_is_told_as_busy_or_broken(code: str, status: int, kind: type[Exception]) -> None:
    store = AwsStore.connect(ENV)
    stubber = Stubber(store.dynamodb)
    for method in ("get_item", "put_item", "update_item", "query"):
        stubber.add_client_error(method, service_error_code=code, http_status_code=status)
    record = record_of(str(uuid.uuid4()))
    with stubber:
        for call in (
            lambda: store.get(record.id),
            lambda: store.add(record),
            lambda: store.mark_published(record.id),
            lambda: store.pending(NOW_MS, 1),
        ):
            with pytest.raises(StoreError, match=code) as caught:
                call()
            assert type(caught.value) is kind


def test_an_endpoint_that_is_down_is_busy() -> None:
    store = AwsStore.connect(replace(ENV, endpoint_url=f"http://127.0.0.1:{free_port()}"))
    client = boto3.client(
        "dynamodb",
        region_name="us-west-2",
        endpoint_url=store.env.endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )

    with pytest.raises(UnavailableError):
        replace(store, dynamodb=client).get(str(uuid.uuid4()))


def test_what_botocore_quotes_of_a_request_is_not_kept() -> None:
    store = AwsStore.connect(ENV)
    body = _Body(b"a red fox")

    with pytest.raises(StoreError) as caught:
        store.publish("comfy", body)

    assert "red fox" not in log.trace_of(caught.value)


class _Body(bytes):
    """Decodes to what botocore refuses with its words."""

    def decode(self, *_: object) -> Any:
        return [bytes(self)]
