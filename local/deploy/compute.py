"""Roles and Lambda functions."""

from pathlib import Path
from uuid import uuid4

from pulumi import FileArchive

from local.deploy.aws import Aws, Kind, Made, named
from local.deploy.inputs import Inputs, plain


def role(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    made = aws.client("iam").create_role(RoleName=label, AssumeRolePolicyDocument=given["assumeRolePolicy"])
    return label, {"name": label, "arn": made["Role"]["Arn"]}


def role_policy(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    aws.client("iam").put_role_policy(RoleName=given["role"], PolicyName=label, PolicyDocument=given["policy"])
    return f"{given['role']}:{label}", {"name": label}


def role_attachment(aws: Aws, _name: str, given: Inputs) -> Made:
    aws.client("iam").attach_role_policy(RoleName=given["role"], PolicyArn=given["policyArn"])
    return f"{given['role']}/{given['policyArn']}", {}


def function(aws: Aws, name: str, given: Inputs) -> Made:
    code = given["code"]
    assert isinstance(code, FileArchive), "a function's code is a zip that the program made"
    label = named(name, given)
    arn = aws.client("lambda").create_function(
        FunctionName=label,
        Role=given["role"],
        Runtime=given["runtime"],
        Handler=given["handler"],
        Code={"ZipFile": Path(code.path).read_bytes()},
        MemorySize=given["memorySize"],
        Timeout=given["timeout"],
        Architectures=given["architectures"],
        Environment={"Variables": plain(given["environment"]["variables"])},
    )["FunctionArn"]
    region = aws.emulator.region
    invoke_arn = f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    return label, {"name": label, "arn": arn, "invokeArn": invoke_arn}


def permission(aws: Aws, _name: str, given: Inputs) -> Made:
    statement = str(given.get("statementId") or f"s{uuid4().hex}")
    aws.client("lambda").add_permission(
        FunctionName=given["function"],
        StatementId=statement,
        Action=given["action"],
        Principal=given["principal"],
        SourceArn=given["sourceArn"],
    )
    return statement, {"statementId": statement}


def event_source_mapping(aws: Aws, _name: str, given: Inputs) -> Made:
    made = aws.client("lambda").create_event_source_mapping(
        EventSourceArn=given["eventSourceArn"],
        FunctionName=given["functionName"],
        BatchSize=given["batchSize"],
        FunctionResponseTypes=given["functionResponseTypes"],
    )
    return made["UUID"], {"uuid": made["UUID"]}


KINDS: dict[str, Kind] = {
    "aws:iam/role:Role": role,
    "aws:iam/rolePolicy:RolePolicy": role_policy,
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": role_attachment,
    "aws:lambda/function:Function": function,
    "aws:lambda/permission:Permission": permission,
    "aws:lambda/eventSourceMapping:EventSourceMapping": event_source_mapping,
}
