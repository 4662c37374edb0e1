"""The REST API in front of the `api` function: routes from `functions.api.routes`, answers, access log."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import apigateway, cloudwatch, iam, lambda_

from components import answers, naming, policies
from components.settings import Settings
from functions.api.routes import PAGES, ROUTES, Route

# Neither key nor query string nor body, and of the path only the route's own form.
ACCESS_LOG = {
    "request_id": "$context.requestId",
    "time": "$context.requestTime",
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",
    "status": "$context.status",
    "answered_by": "$context.error.responseType",
    "integration_error": "$context.integrationErrorMessage",
    "owner": "$context.identity.apiKeyId",
    "source_ip": "$context.identity.sourceIp",
    "latency_ms": "$context.responseLatency",
    "integration_latency_ms": "$context.integrationLatency",
    "bytes_out": "$context.responseLength",
}
# The execution log would hold headers and bodies; the access log says enough.
QUIET: apigateway.MethodSettingsSettingsArgsDict = {
    "metrics_enabled": True,
    "logging_level": "OFF",
    "data_trace_enabled": False,
}
PAGE_LIMITS: apigateway.MethodSettingsSettingsArgsDict = {"throttling_rate_limit": 5, "throttling_burst_limit": 10}


@dataclass(frozen=True)
class ApiArgs:
    """The function that serves every route, as API Gateway must call it.

    vpc_endpoint_id: through which alone the API is reached; whether there is one must not depend on an output.
    """

    settings: Settings
    function: pulumi.Input[str]
    function_invoke_arn: pulumi.Input[str]
    vpc_endpoint_id: pulumi.Input[str] | None = None


class Api(pulumi.ComponentResource):
    """rest_api, stage: what clients are let in to. stage.invoke_url is the base URL without a slash at its end."""

    rest_api: apigateway.RestApi
    stage: apigateway.Stage

    def __init__(self, name: str, args: ApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:api:Api", name, None, opts)
        self._args, self._child = args, pulumi.ResourceOptions(parent=self)
        self.rest_api = apigateway.RestApi(
            "api",
            name=naming.prefixed(args.settings, "api"),
            endpoint_configuration=self._reach(),
            opts=self._child,
        )
        self._resources: dict[str, pulumi.Output[str]] = {"": self.rest_api.root_resource_id}
        placed: list[pulumi.Resource] = [self._integration(route) for route in (*ROUTES, *PAGES)]
        placed += [self._answer(answer) for answer in answers.ANSWERS]
        placed += [] if args.vpc_endpoint_id is None else [self._door(args.vpc_endpoint_id)]
        lambda_.Permission(
            "api",
            action="lambda:InvokeFunction",
            function=args.function,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(self.rest_api.execution_arn, "/*/*"),
            opts=self._child,
        )
        self.stage = self._stage(self._deployment(placed))
        self.register_outputs({})

    def _reach(self) -> apigateway.RestApiEndpointConfigurationArgsDict:
        endpoint = self._args.vpc_endpoint_id
        return {"types": "REGIONAL"} if endpoint is None else {"types": "PRIVATE", "vpc_endpoint_ids": [endpoint]}

    def _door(self, vpc_endpoint: pulumi.Input[str]) -> apigateway.RestApiPolicy:
        policy = pulumi.Output.all(self.rest_api.execution_arn, vpc_endpoint).apply(
            lambda known: json.dumps(policies.private_api(known[0], known[1]))
        )
        return apigateway.RestApiPolicy("api", rest_api_id=self.rest_api.id, policy=policy, opts=self._child)

    def _resource(self, path: str) -> pulumi.Output[str]:
        """Id of a path's resource, made with its parents when it is not there yet."""
        if path not in self._resources:
            parent, _, part = path.rpartition("/")
            self._resources[path] = apigateway.Resource(
                naming.path_part(path),
                rest_api=self.rest_api.id,
                parent_id=self._resource(parent),
                path_part=part,
                opts=self._child,
            ).id
        return self._resources[path]

    def _integration(self, route: Route) -> apigateway.Integration:
        label = f"{route.method.lower()}-{naming.path_part(route.path)}"
        method = apigateway.Method(
            label,
            rest_api=self.rest_api.id,
            resource_id=self._resource(route.path),
            http_method=route.method,
            authorization="AWS_IAM" if self._args.settings.api.iam_auth else "NONE",
            api_key_required=route not in PAGES,
            opts=self._child,
        )
        return apigateway.Integration(
            label,
            rest_api=self.rest_api.id,
            resource_id=method.resource_id,
            http_method=method.http_method,
            type="AWS_PROXY",
            integration_http_method="POST",
            uri=self._args.function_invoke_arn,
            opts=self._child,
        )

    def _answer(self, answer: answers.Answer) -> apigateway.Response:
        return apigateway.Response(
            answer.kind.lower().replace("_", "-"),
            rest_api_id=self.rest_api.id,
            response_type=answer.kind,
            status_code=None if answer.status is None else str(answer.status),
            response_templates={"application/json": answers.template(answer)},
            opts=self._child,
        )

    def _deployment(self, placed: Sequence[pulumi.Resource]) -> apigateway.Deployment:
        """A snapshot of all that is placed; API Gateway serves nothing newer, so it is made again when that changes."""
        return apigateway.Deployment(
            "api",
            rest_api=self.rest_api.id,
            triggers={
                "rows": fingerprint((*ROUTES, *PAGES), answers.ANSWERS),
                "function": self._args.function_invoke_arn,
                "access": pulumi.Output.concat(
                    f"{self._args.settings.api.iam_auth} ", self._args.vpc_endpoint_id or "None"
                ),
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=placed),
        )

    def _stage(self, deployment: apigateway.Deployment) -> apigateway.Stage:
        settings = self._args.settings
        logs = cloudwatch.LogGroup(
            "access",
            name=naming.access_log_group(settings),
            retention_in_days=settings.api.log_retention_days,
            opts=self._child,
        )
        stage = apigateway.Stage(
            "api",
            rest_api=self.rest_api.id,
            deployment=deployment.id,
            stage_name=settings.stack,
            access_log_settings={"destination_arn": logs.arn, "format": json.dumps(ACCESS_LOG)},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._log_account()]),
        )
        every = self._method_settings("api", stage, "*/*", QUIET)
        for page in PAGES:  # behind no key, and so in no usage plan that would limit it
            path = page.path.removeprefix("/")
            self._method_settings(
                naming.path_part(page.path), stage, f"{path}/{page.method}", QUIET | PAGE_LIMITS, every
            )
        return stage

    def _method_settings(
        self,
        label: str,
        stage: apigateway.Stage,
        path: str,
        settings: apigateway.MethodSettingsSettingsArgsDict,
        *after: pulumi.Resource,
    ) -> apigateway.MethodSettings:
        return apigateway.MethodSettings(
            label,
            rest_api=self.rest_api.id,
            stage_name=stage.stage_name,
            method_path=path,
            settings=settings,
            # AWS refuses two changes of one stage at the same time
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _log_account(self) -> apigateway.Account:
        """The region's one setting that lets API Gateway write logs; without it a stage with a log is refused."""
        role = iam.Role(
            "gateway-logs",
            name=naming.prefixed(self._args.settings, "gateway-logs"),
            assume_role_policy=json.dumps(policies.assumed_by("apigateway.amazonaws.com")),
            opts=self._child,
        )
        allowed = iam.RolePolicyAttachment(
            "gateway-logs",
            role=role.name,
            policy_arn=policies.gateway_logs(self._args.settings.region),
            opts=self._child,
        )
        return apigateway.Account(
            "api", cloudwatch_role_arn=role.arn, opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed])
        )


def fingerprint(routes: Sequence[Route], rows: Sequence[answers.Answer]) -> str:
    """Changes when what API Gateway serves would change."""
    return hashlib.sha256(json.dumps([routes, rows]).encode()).hexdigest()
