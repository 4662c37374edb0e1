"""REST APIs with their keys, plans and answers."""

from local.deploy.aws import Aws, Kind, Made, named
from local.deploy.inputs import Inputs, plain


def rest_api(aws: Aws, name: str, given: Inputs) -> Made:
    made = aws.client("apigateway").create_rest_api(
        name=named(name, given), endpointConfiguration={"types": [given["endpointConfiguration"]["types"]]}
    )
    arn = aws.arn("execute-api", made["id"])
    return made["id"], {"rootResourceId": made["rootResourceId"], "executionArn": arn}


def resource(aws: Aws, _name: str, given: Inputs) -> Made:
    made = aws.client("apigateway").create_resource(
        restApiId=given["restApi"], parentId=given["parentId"], pathPart=given["pathPart"]
    )
    return made["id"], {"path": made["path"]}


def method(aws: Aws, _name: str, given: Inputs) -> Made:
    aws.client("apigateway").put_method(
        restApiId=given["restApi"],
        resourceId=given["resourceId"],
        httpMethod=given["httpMethod"],
        authorizationType=given["authorization"],
        apiKeyRequired=given["apiKeyRequired"],
    )
    return f"agm-{given['restApi']}-{given['resourceId']}-{given['httpMethod']}", {}


def integration(aws: Aws, _name: str, given: Inputs) -> Made:
    aws.client("apigateway").put_integration(
        restApiId=given["restApi"],
        resourceId=given["resourceId"],
        httpMethod=given["httpMethod"],
        type=given["type"],
        integrationHttpMethod=given["integrationHttpMethod"],
        uri=given["uri"],
    )
    return f"agi-{given['restApi']}-{given['resourceId']}-{given['httpMethod']}", {}


def response(aws: Aws, _name: str, given: Inputs) -> Made:
    status = {"statusCode": given["statusCode"]} if given.get("statusCode") else {}
    aws.client("apigateway").put_gateway_response(
        restApiId=given["restApiId"],
        responseType=given["responseType"],
        responseTemplates=plain(given["responseTemplates"]),
        **status,
    )
    return f"aggr-{given['restApiId']}-{given['responseType']}", {}


def deployment(aws: Aws, _name: str, given: Inputs) -> Made:
    return aws.client("apigateway").create_deployment(restApiId=given["restApi"])["id"], {}


def stage(aws: Aws, _name: str, given: Inputs) -> Made:
    client, api, label = aws.client("apigateway"), given["restApi"], given["stageName"]
    client.create_stage(restApiId=api, stageName=label, deploymentId=given["deployment"])
    log = [_replace(f"/accessLogSettings/{name}", value) for name, value in given.get("accessLogSettings", {}).items()]
    if log:
        client.update_stage(restApiId=api, stageName=label, patchOperations=log)
    # on AWS: https://{api}.execute-api.{region}.amazonaws.com/{stage}
    url = f"{aws.emulator.endpoint}/_aws/execute-api/{api}/{label}"
    arn = f"arn:aws:apigateway:{aws.emulator.region}::/restapis/{api}/stages/{label}"
    execution_arn = aws.arn("execute-api", f"{api}/{label}")
    return f"ags-{api}-{label}", {"invokeUrl": url, "executionArn": execution_arn, "arn": arn}


def method_settings(aws: Aws, _name: str, given: Inputs) -> Made:
    settings = given["settings"]
    changes = {
        "metrics/enabled": str(settings["metricsEnabled"]).lower(),
        "logging/loglevel": settings["loggingLevel"],
        "logging/dataTrace": str(settings["dataTraceEnabled"]).lower(),
        **{
            path: str(settings[name])
            for name, path in {
                "throttlingRateLimit": "throttling/rateLimit",
                "throttlingBurstLimit": "throttling/burstLimit",
            }.items()
            if name in settings
        },
    }
    aws.client("apigateway").update_stage(
        restApiId=given["restApi"],
        stageName=given["stageName"],
        patchOperations=[_replace(f"/{given['methodPath']}/{path}", value) for path, value in changes.items()],
    )
    return f"{given['restApi']}-{given['stageName']}-{given['methodPath']}", {}


def account(aws: Aws, _name: str, given: Inputs) -> Made:
    change = _replace("/cloudwatchRoleArn", given["cloudwatchRoleArn"])
    aws.client("apigateway").update_account(patchOperations=[change])
    return "api-gateway-account", {}


def _replace(path: str, value: str) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": value}


def usage_plan(aws: Aws, name: str, given: Inputs) -> Made:
    throttle, quota = given["throttleSettings"], given.get("quotaSettings")
    made = aws.client("apigateway").create_usage_plan(
        name=named(name, given),
        apiStages=[{"apiId": stage["apiId"], "stage": stage["stage"]} for stage in given["apiStages"]],
        throttle={"rateLimit": throttle["rateLimit"], "burstLimit": throttle["burstLimit"]},
        **({"quota": {"limit": quota["limit"], "period": quota["period"]}} if quota else {}),
    )
    return made["id"], {}


def api_key(aws: Aws, name: str, given: Inputs) -> Made:
    made = aws.client("apigateway").create_api_key(
        name=named(name, given), description=given.get("description", ""), enabled=given.get("enabled", True)
    )
    return made["id"], {"value": made["value"]}


def usage_plan_key(aws: Aws, _name: str, given: Inputs) -> Made:
    aws.client("apigateway").create_usage_plan_key(
        usagePlanId=given["usagePlanId"], keyId=given["keyId"], keyType=given["keyType"]
    )
    return given["keyId"], {}


KINDS: dict[str, Kind] = {
    "aws:apigateway/restApi:RestApi": rest_api,
    "aws:apigateway/resource:Resource": resource,
    "aws:apigateway/method:Method": method,
    "aws:apigateway/integration:Integration": integration,
    "aws:apigateway/response:Response": response,
    "aws:apigateway/deployment:Deployment": deployment,
    "aws:apigateway/stage:Stage": stage,
    "aws:apigateway/methodSettings:MethodSettings": method_settings,
    "aws:apigateway/account:Account": account,
    "aws:apigateway/usagePlan:UsagePlan": usage_plan,
    "aws:apigateway/apiKey:ApiKey": api_key,
    "aws:apigateway/usagePlanKey:UsagePlanKey": usage_plan_key,
}
