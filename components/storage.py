"""Where jobs' inputs, outputs and models lie, and the table that holds the truth about each job."""

import json
from dataclasses import dataclass
from typing import TypedDict

import pulumi
from pulumi_aws import dynamodb, s3

from components import naming, policies
from components.image_contexts import builds_at_aws
from components.settings import Settings
from sd_async.contract import records

UNFINISHED_UPLOAD_DAYS = 3
CONTEXT_DAYS = 30  # after its build a context is only there to be looked at
OLD_MODEL_DAYS = 30  # a model overwritten by mistake can be had back that long

_INDEXES = {records.BY_OWNER: "owner", records.BY_STATUS: "status", records.BY_OUTBOX: "outbox"}
_SORTED_BY = "created_at_ms"


@dataclass(frozen=True)
class StorageArgs:
    settings: Settings


class Places(TypedDict):
    """Where functions and agents keep jobs, by name and by ARN."""

    jobs_table: pulumi.Output[str]
    jobs_table_arn: pulumi.Output[str]
    input_bucket: pulumi.Output[str]
    input_bucket_arn: pulumi.Output[str]
    output_bucket: pulumi.Output[str]
    output_bucket_arn: pulumi.Output[str]


class Storage(pulumi.ComponentResource):
    """Buckets and the jobs table; places: names and ARNs for those who use them. outputs: of the stack.

    contexts_bucket: what images are built from; None where CodeBuild builds none.
    """

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:storage:Storage", name, None, opts)
        self._settings = args.settings
        retention_days = args.settings.storage.retention_days
        self.output_bucket = self._bucket("output", _expiry(retention_days))
        self.input_bucket = self._bucket("input", _expiry(retention_days))
        self.models_bucket = self._bucket("models", _old_versions())
        self.contexts_bucket = self._bucket("contexts", _expiry(CONTEXT_DAYS)) if builds_at_aws(args.settings) else None
        s3.BucketVersioning(
            "models",
            bucket=self.models_bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.jobs_table = self._jobs_table()
        self.places = Places(
            jobs_table=self.jobs_table.name,
            jobs_table_arn=self.jobs_table.arn,
            input_bucket=self.input_bucket.bucket,
            input_bucket_arn=self.input_bucket.arn,
            output_bucket=self.output_bucket.bucket,
            output_bucket_arn=self.output_bucket.arn,
        )
        self.outputs: dict[str, pulumi.Output[str]] = {
            "output_bucket": self.output_bucket.bucket,
            "models_bucket": self.models_bucket.bucket,
        }
        self.register_outputs({})

    def _bucket(self, kind: str, rules: list[s3.BucketLifecycleConfigurationRuleArgsDict]) -> s3.Bucket:
        """A private, encrypted bucket. Its objects go with the stack: `pulumi destroy` leaves nothing behind."""
        opts = pulumi.ResourceOptions(parent=self)
        bucket = s3.Bucket(naming.bucket(self._settings, kind), force_destroy=True, opts=opts)
        closed = s3.BucketPublicAccessBlock(
            kind,
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=opts,
        )
        s3.BucketServerSideEncryptionConfiguration(
            kind,
            bucket=bucket.bucket,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=opts,
        )
        s3.BucketLifecycleConfiguration(kind, bucket=bucket.bucket, rules=rules, opts=opts)
        s3.BucketPolicy(
            kind,
            bucket=bucket.bucket,
            policy=bucket.arn.apply(lambda arn: json.dumps(policies.bucket(arn))),
            # S3 answers 409 when both are written at once
            opts=pulumi.ResourceOptions(parent=self, depends_on=[closed]),
        )
        return bucket

    def _jobs_table(self) -> dynamodb.Table:
        keys = {"id": "S", _SORTED_BY: "N"} | dict.fromkeys(_INDEXES.values(), "S")
        return dynamodb.Table(
            "jobs",
            name=naming.jobs_table(self._settings),
            billing_mode="PAY_PER_REQUEST",
            hash_key="id",
            attributes=[{"name": name, "type": kind} for name, kind in sorted(keys.items())],
            global_secondary_indexes=[
                {
                    "name": index,
                    "key_schemas": [
                        {"attribute_name": key, "key_type": "HASH"},
                        {"attribute_name": _SORTED_BY, "key_type": "RANGE"},
                    ],
                    "projection_type": "ALL",
                }
                for index, key in _INDEXES.items()
            ],
            ttl={"attribute_name": "expires_at_s", "enabled": True},
            point_in_time_recovery={"enabled": True},
            server_side_encryption={"enabled": False},  # the table is encrypted with DynamoDB's own key all the same
            opts=pulumi.ResourceOptions(parent=self),
        )


def _expiry(days: int) -> list[s3.BucketLifecycleConfigurationRuleArgsDict]:
    return [
        {
            "id": "expire",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "expiration": {"days": days},
            "abort_incomplete_multipart_upload": {"days_after_initiation": UNFINISHED_UPLOAD_DAYS},
        }
    ]


def _old_versions() -> list[s3.BucketLifecycleConfigurationRuleArgsDict]:
    return [
        {
            "id": "old-versions",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "noncurrent_version_expiration": {"noncurrent_days": OLD_MODEL_DAYS},
            "abort_incomplete_multipart_upload": {"days_after_initiation": UNFINISHED_UPLOAD_DAYS},
        }
    ]
