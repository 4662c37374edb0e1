"""Every route has its method, behind a key; API Gateway's own refusals have the one error shape."""

import ast
import json

import pulumi
import pytest

from components.answers import ANSWERS, Answer
from components.api import ACCESS_LOG, Api, ApiArgs, fingerprint
from functions.api.routes import PAGES, ROUTES
from tests.components.example import stack
from tests.support.engine import ROOT, Engine, build

METHOD, INTEGRATION = "aws:apigateway/method:Method", "aws:apigateway/integration:Integration"
RESOURCE, RESPONSE = "aws:apigateway/resource:Resource", "aws:apigateway/response:Response"
SETTINGS = "aws:apigateway/methodSettings:MethodSettings"
DEPLOYMENT, STAGE = "aws:apigateway/deployment:Deployment", "aws:apigateway/stage:Stage"


@pytest.fixture(scope="module")
def placed() -> Engine:
    limits = stack(api={"rate_per_s": 7, "burst": 9})
    return build(lambda: Api("api", ApiArgs(limits, pulumi.Output.from_input("function"), "arn:invoke")))


def path_of(placed: Engine, resource_id: str) -> str:
    by_id = {f"{one.name}-id": one.inputs for one in placed.declared if one.token == RESOURCE}
    if resource_id not in by_id:
        assert resource_id == "sd-async-dev-api-root"
        return ""
    return f"{path_of(placed, by_id[resource_id]['parentId'])}/{by_id[resource_id]['pathPart']}"


def test_each_row_of_the_routes_is_a_method_that_asks_for_a_key_and_each_page_one_that_does_not(placed: Engine) -> None:
    methods = placed.inputs(METHOD)
    found = {(one["httpMethod"], path_of(placed, one["resourceId"]), one["apiKeyRequired"]) for one in methods}
    keyed = {(route.method, route.path, True) for route in ROUTES}
    assert found == keyed | {(page.method, page.path, False) for page in PAGES}
    assert all(method["authorization"] == "NONE" for method in methods)


def test_a_page_that_no_usage_plan_limits_has_a_limit_of_its_own(placed: Engine) -> None:
    every = placed.named(SETTINGS, "api")
    [own] = [one for one in placed.declared if one.token == SETTINGS and one is not every]
    assert (every.inputs["methodPath"], own.inputs["methodPath"]) == ("*/*", "console/GET")
    limits = {name: own.inputs["settings"][name] for name in ("throttlingRateLimit", "throttlingBurstLimit")}
    assert limits == {"throttlingRateLimit": 5, "throttlingBurstLimit": 10}
    assert placed.waits_for(own, every), "AWS refuses two changes of one stage at the same time"


def test_a_part_that_paths_share_is_one_resource(placed: Engine) -> None:
    parts = [(inputs["parentId"], inputs["pathPart"]) for inputs in placed.inputs(RESOURCE)]
    assert len(parts) == len(set(parts))


def test_each_method_hands_the_whole_request_to_the_function(placed: Engine) -> None:
    integrations = placed.inputs(INTEGRATION)
    assert len(integrations) == len(ROUTES) + len(PAGES)
    for integration in integrations:
        assert (integration["type"], integration["integrationHttpMethod"]) == ("AWS_PROXY", "POST")
        assert integration["uri"] == "arn:invoke"


def test_only_this_api_may_call_the_function(placed: Engine) -> None:
    [permission] = placed.inputs("aws:lambda/permission:Permission")
    assert permission["principal"] == "apigateway.amazonaws.com"
    assert permission["sourceArn"] == "arn:aws:execute-api:us-west-2:123456789012:sd-async-dev-api-id/*/*"


def test_the_deployment_is_a_snapshot_of_everything_placed(placed: Engine) -> None:
    [deployment] = [one for one in placed.declared if one.token == DEPLOYMENT]
    for one in placed.declared:
        if one.token in {METHOD, INTEGRATION, RESPONSE}:
            assert placed.waits_for(deployment, one), f"{one.name} would be missing from what is served"


def test_the_deployment_is_made_again_when_routes_answers_or_function_change(placed: Engine) -> None:
    [deployment] = placed.inputs(DEPLOYMENT)
    assert deployment["triggers"] == {
        "rows": fingerprint((*ROUTES, *PAGES), ANSWERS),
        "function": "arn:invoke",
        "access": "False None",
    }
    assert len({fingerprint(ROUTES, ANSWERS), fingerprint(ROUTES[:-1], ANSWERS), fingerprint(ROUTES, ANSWERS[1:])}) == 3


def test_the_stage_has_the_stacks_name_and_its_url_is_the_endpoint(placed: Engine) -> None:
    [stage] = placed.inputs(STAGE)
    assert stage["stageName"] == "dev"


def test_the_access_log_holds_no_key_no_query_string_and_no_body(placed: Engine) -> None:
    [stage] = placed.inputs(STAGE)
    log = stage["accessLogSettings"]
    assert log["destinationArn"].endswith(":log-group:/aws/apigateway/sd-async-dev-api")
    assert json.loads(log["format"]) == ACCESS_LOG
    forbidden = ("identity.apiKey}", "$context.path", "querystring", "input", "authorizer", "identity.user")
    assert "$context.identity.apiKey" not in ACCESS_LOG.values(), "the key's id may be logged, the key never"
    assert not [word for word in forbidden if word in log["format"]]
    for one in placed.inputs(SETTINGS):
        quiet = {"metricsEnabled": True, "loggingLevel": "OFF", "dataTraceEnabled": False}
        assert quiet.items() <= one["settings"].items()
    [group] = placed.inputs("aws:cloudwatch/logGroup:LogGroup")
    assert group["retentionInDays"] == 30


def test_the_region_lets_api_gateway_write_logs_before_the_stage_wants_to(placed: Engine) -> None:
    stage = placed.named(STAGE, "api")
    assert placed.waits_for(stage, placed.named("aws:apigateway/account:Account", "api"))
    assert placed.waits_for(stage, placed.named("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "gateway-logs"))


def test_signed_requests_can_be_asked_for_beside_the_key() -> None:
    placed = build(lambda: Api("api", ApiArgs(stack(api={"iam_auth": True}), "function", "arn:invoke")))
    methods = placed.inputs(METHOD)
    assert len(methods) == len(ROUTES) + len(PAGES)
    assert {method["authorization"] for method in methods} == {"AWS_IAM"}, "not even a page is for everybody then"
    assert [method["apiKeyRequired"] for method in methods].count(True) == len(ROUTES)


def test_a_private_api_opens_to_its_vpc_endpoint_only_and_before_it_is_served() -> None:
    endpoint = pulumi.Output.from_input("vpce-01234567")
    args = ApiArgs(stack(), "function", "arn:invoke", endpoint)
    placed = build(lambda: Api("api", args))
    [api] = placed.inputs("aws:apigateway/restApi:RestApi")
    assert api["endpointConfiguration"] == {"types": "PRIVATE", "vpcEndpointIds": ["vpce-01234567"]}
    policy = placed.named("aws:apigateway/restApiPolicy:RestApiPolicy", "api")
    [statement] = json.loads(policy.inputs["policy"])["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceVpce": "vpce-01234567"}}
    assert statement["Resource"] == "arn:aws:execute-api:us-west-2:123456789012:sd-async-dev-api-id/*"
    deployment = placed.named(DEPLOYMENT, "api")
    assert placed.waits_for(deployment, policy)
    assert deployment.inputs["triggers"]["access"] == "False vpce-01234567", "another endpoint needs a new snapshot"


def test_a_public_api_needs_no_policy(placed: Engine) -> None:
    [api] = placed.inputs("aws:apigateway/restApi:RestApi")
    assert api["endpointConfiguration"] == {"types": "REGIONAL"}
    assert placed.inputs("aws:apigateway/restApiPolicy:RestApiPolicy") == []


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.kind)
def test_what_api_gateway_refuses_by_itself_has_the_one_error_shape(placed: Engine, answer: Answer) -> None:
    response = placed.named(RESPONSE, answer.kind.lower().replace("_", "-")).inputs
    assert response["responseType"] == answer.kind
    assert response.get("statusCode") == (None if answer.status is None else str(answer.status))
    body = json.loads(response["responseTemplates"]["application/json"])
    assert body == {"error": {"code": answer.code, "message": answer.message, "request_id": "$context.requestId"}}


def statuses_of_the_function() -> dict[str, int]:
    """Read, not imported: the handler wants its environment when it is loaded."""
    for node in ast.parse((ROOT / "functions/api/handler.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STATUS_OF":
            found: dict[str, int] = ast.literal_eval(node.value)
            return found
    raise AssertionError("the handler has no table of statuses")


def test_a_code_means_the_same_status_here_and_in_the_function() -> None:
    statuses = statuses_of_the_function()
    for answer in ANSWERS:
        if answer.status is not None:
            assert statuses.get(answer.code, answer.status) == answer.status, answer.kind


@pytest.mark.parametrize(
    ("kind", "status"),
    [("INVALID_API_KEY", 403), ("THROTTLED", 429), ("REQUEST_TOO_LARGE", 413), ("MISSING_AUTHENTICATION_TOKEN", 404)],
)
def test_the_refusals_that_clients_meet_have_their_status(kind: str, status: int) -> None:
    assert {answer.kind: answer.status for answer in ANSWERS}[kind] == status


def test_everything_belongs_to_the_component(placed: Engine) -> None:
    [component] = [one for one in placed.declared if not one.is_custom]
    assert (component.token, component.name) == ("sd:api:Api", "api")
    assert {one.parent for one in placed.declared if one.is_custom} == {component.urn}
