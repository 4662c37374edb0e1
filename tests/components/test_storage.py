"""Three closed buckets and one table whose indexes answer list-by-owner, list-by-status and the outbox sweep."""

import json

import pytest

from components.storage import Storage, StorageArgs
from sd_async.contract import records
from tests.components.example import stack
from tests.support.engine import Engine, build

BUCKET = "aws:s3/bucket:Bucket"
KINDS = ["input", "models", "output"]


@pytest.fixture(scope="module")
def placed() -> Engine:
    return build(lambda: Storage("storage", StorageArgs(stack(storage={"retention_days": 7}))))


def test_there_are_buckets_for_inputs_outputs_and_models(placed: Engine) -> None:
    assert sorted(one.name for one in placed.declared if one.token == BUCKET) == [
        f"sd-async-dev-{kind}" for kind in KINDS
    ]
    assert all("bucket" not in inputs for inputs in placed.inputs(BUCKET)), "a bucket's name must be the world's only"


@pytest.mark.parametrize("kind", KINDS)
def test_a_bucket_is_private_encrypted_and_deaf_to_plain_http(placed: Engine, kind: str) -> None:
    closed = placed.named("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", kind).inputs
    assert closed == {
        "bucket": f"sd-async-dev-{kind}",
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    encrypted = placed.named(
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration", kind
    ).inputs
    assert encrypted["rules"] == [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]
    policy = placed.named("aws:s3/bucketPolicy:BucketPolicy", kind)
    [statement] = json.loads(policy.inputs["policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [f"arn:aws:s3:::sd-async-dev-{kind}", f"arn:aws:s3:::sd-async-dev-{kind}/*"]


def test_a_policy_waits_until_its_bucket_is_closed(placed: Engine) -> None:
    for kind in KINDS:
        policy = placed.named("aws:s3/bucketPolicy:BucketPolicy", kind)
        assert placed.waits_for(policy, placed.named("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", kind))


@pytest.mark.parametrize("kind", ["input", "output"])
def test_what_belongs_to_a_job_goes_when_its_record_goes(placed: Engine, kind: str) -> None:
    [rule] = placed.named("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", kind).inputs["rules"]
    assert (rule["status"], rule["filter"], rule["expiration"]) == ("Enabled", {"prefix": ""}, {"days": 7})
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 3}


def test_models_never_expire_and_an_overwritten_one_can_be_had_back(placed: Engine) -> None:
    [rule] = placed.named("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "models").inputs["rules"]
    assert "expiration" not in rule
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
    [versions] = [one for one in placed.declared if one.token == "aws:s3/bucketVersioning:BucketVersioning"]
    assert versions.name == "models"
    assert versions.inputs["versioningConfiguration"] == {"status": "Enabled"}


def test_the_table_is_keyed_by_id_billed_by_request_and_can_be_restored(placed: Engine) -> None:
    [table] = placed.inputs("aws:dynamodb/table:Table")
    assert (table["name"], table["hashKey"], table["billingMode"]) == ("sd-async-dev-jobs", "id", "PAY_PER_REQUEST")
    assert table["ttl"] == {"attributeName": "expires_at_s", "enabled": True}
    assert table["pointInTimeRecovery"] == {"enabled": True}
    assert "rangeKey" not in table


def test_every_index_sorts_by_creation_and_holds_the_whole_record(placed: Engine) -> None:
    [table] = placed.inputs("aws:dynamodb/table:Table")
    found = {
        index["name"]: [(key["attributeName"], key["keyType"]) for key in index["keySchemas"]]
        for index in table["globalSecondaryIndexes"]
    }
    assert found == {
        records.BY_OWNER: [("owner", "HASH"), ("created_at_ms", "RANGE")],
        records.BY_STATUS: [("status", "HASH"), ("created_at_ms", "RANGE")],
        records.BY_OUTBOX: [("outbox", "HASH"), ("created_at_ms", "RANGE")],
    }
    assert {index["projectionType"] for index in table["globalSecondaryIndexes"]} == {"ALL"}
    assert {attribute["name"]: attribute["type"] for attribute in table["attributes"]} == {
        "id": "S",
        "owner": "S",
        "status": "S",
        "outbox": "S",
        "created_at_ms": "N",
    }


def test_the_tables_keys_are_fields_of_the_record(placed: Engine) -> None:
    [table] = placed.inputs("aws:dynamodb/table:Table")
    keys = {attribute["name"] for attribute in table["attributes"]} | {table["ttl"]["attributeName"]}
    assert keys <= set(records.Record.__struct_fields__)


def test_nothing_keeps_a_stack_from_being_destroyed(placed: Engine) -> None:
    assert all(inputs["forceDestroy"] for inputs in placed.inputs(BUCKET))
    assert not placed.inputs("aws:dynamodb/table:Table")[0].get("deletionProtectionEnabled")


def test_everything_belongs_to_the_component(placed: Engine) -> None:
    [component] = [one for one in placed.declared if not one.is_custom]
    assert (component.token, component.name) == ("sd:storage:Storage", "storage")
    assert {one.parent for one in placed.declared if one.is_custom} == {component.urn}
