"""One emulator for the tests of this folder, emptied for each that asks for a bucket."""

from collections.abc import Iterator

import pytest
from mypy_boto3_s3 import S3Client

from local.emulator import Emulator, running

BUCKET = "models-of-a-test"


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("emulator")) as started:
        yield started


@pytest.fixture
def s3(emulator: Emulator) -> S3Client:
    emulator.reset()
    client: S3Client = emulator.client("s3")
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    return client
