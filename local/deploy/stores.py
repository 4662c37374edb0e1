"""Buckets, tables, image repositories and what builds images."""

from hashlib import sha256

from local.deploy.aws import Aws, Kind, Made, named
from local.deploy.inputs import Inputs, pascal, plain


def bucket(aws: Aws, name: str, given: Inputs) -> Made:
    label = str(given.get("bucket") or named(name, given))
    region = {"LocationConstraint": aws.emulator.region}
    aws.client("s3").create_bucket(Bucket=label, CreateBucketConfiguration=region)
    domain = f"{label}.s3.{aws.emulator.region}.amazonaws.com"
    return label, {"bucket": label, "arn": f"arn:aws:s3:::{label}", "bucketRegionalDomainName": domain}


def bucket_access(aws: Aws, _name: str, given: Inputs) -> Made:
    flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    aws.client("s3").put_public_access_block(
        Bucket=given["bucket"],
        PublicAccessBlockConfiguration={flag[0].upper() + flag[1:]: bool(given.get(flag)) for flag in flags},
    )
    return given["bucket"], {}


def bucket_encryption(aws: Aws, _name: str, given: Inputs) -> Made:
    rules = [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": default["sseAlgorithm"]}}
        for rule in given["rules"]
        if (default := rule.get("applyServerSideEncryptionByDefault"))
    ]
    aws.client("s3").put_bucket_encryption(Bucket=given["bucket"], ServerSideEncryptionConfiguration={"Rules": rules})
    return given["bucket"], {}


def bucket_lifecycle(aws: Aws, _name: str, given: Inputs) -> Made:
    rules = pascal(given["rules"])
    for rule in rules:
        rule["ID"] = rule.pop("Id")
    aws.client("s3").put_bucket_lifecycle_configuration(Bucket=given["bucket"], LifecycleConfiguration={"Rules": rules})
    return given["bucket"], {}


def bucket_policy(aws: Aws, _name: str, given: Inputs) -> Made:
    aws.client("s3").put_bucket_policy(Bucket=given["bucket"], Policy=given["policy"])
    return given["bucket"], {}


def bucket_versioning(aws: Aws, _name: str, given: Inputs) -> Made:
    aws.client("s3").put_bucket_versioning(
        Bucket=given["bucket"], VersioningConfiguration={"Status": given["versioningConfiguration"]["status"]}
    )
    return given["bucket"], {}


def table(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    indexes = [
        {
            "IndexName": index["name"],
            "KeySchema": [pascal(key) for key in index["keySchemas"]],
            "Projection": {"ProjectionType": index["projectionType"]},
        }
        for index in given.get("globalSecondaryIndexes", [])
    ]
    client = aws.client("dynamodb")
    client.create_table(
        TableName=label,
        BillingMode=given["billingMode"],
        KeySchema=[{"AttributeName": given["hashKey"], "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": attribute["name"], "AttributeType": attribute["type"]}
            for attribute in given["attributes"]
        ],
        GlobalSecondaryIndexes=indexes,
        SSESpecification=pascal(given["serverSideEncryption"]),
    )
    client.get_waiter("table_exists").wait(TableName=label, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    client.update_time_to_live(TableName=label, TimeToLiveSpecification=pascal(given["ttl"]))
    client.update_continuous_backups(
        TableName=label,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": given["pointInTimeRecovery"]["enabled"]},
    )
    return label, {"name": label, "arn": aws.arn("dynamodb", f"table/{label}")}


def repository(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    made = aws.client("ecr").create_repository(
        repositoryName=label,
        imageTagMutability=given["imageTagMutability"],
        encryptionConfiguration=plain(given["encryptionConfigurations"][0]),
        imageScanningConfiguration=plain(given["imageScanningConfiguration"]),
    )["repository"]
    return label, {"name": label, "arn": made["repositoryArn"], "repositoryUrl": made["repositoryUri"]}


def repository_lifecycle(aws: Aws, _name: str, given: Inputs) -> Made:
    aws.client("ecr").put_lifecycle_policy(repositoryName=given["repository"], lifecyclePolicyText=given["policy"])
    return given["repository"], {}


def image_project(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    made = aws.client("codebuild").create_project(
        name=label,
        description=given["description"],
        serviceRole=given["serviceRole"],
        source=plain(given["source"]),
        artifacts=plain(given["artifacts"]),
        environment=plain(given["environment"]),
        logsConfig={
            "cloudWatchLogs": {"status": "ENABLED", "groupName": given["logsConfig"]["cloudwatchLogs"]["groupName"]}
        },
        timeoutInMinutes=given["buildTimeout"],
        queuedTimeoutInMinutes=given["queuedTimeout"],
    )["project"]
    return label, {"name": label, "arn": made["arn"]}


def image_build(_aws: Aws, _name: str, given: Inputs) -> Made:
    """No build: local pods are processes, which pull nothing. A digest of the tag stands for the image's own."""
    digest = sha256(f"{given['repository_url']}:{given['tag']}".encode()).hexdigest()
    return given["repository_url"], {"digest": f"sha256:{digest}"}


KINDS: dict[str, Kind] = {
    "aws:s3/bucket:Bucket": bucket,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": bucket_access,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": bucket_encryption,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": bucket_lifecycle,
    "aws:s3/bucketPolicy:BucketPolicy": bucket_policy,
    "aws:s3/bucketVersioning:BucketVersioning": bucket_versioning,
    "aws:dynamodb/table:Table": table,
    "aws:ecr/repository:Repository": repository,
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": repository_lifecycle,
    "aws:codebuild/project:Project": image_project,
    "pulumi-python:dynamic/images:Build": image_build,
}
