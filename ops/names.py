"""What a stack is made of, by name and address, for whoever installs the chart or pushes an image by hand.

Most names follow from the settings (`components/naming.py`). Asked of AWS is what does not: the account, the random end
that Pulumi gives a bucket, and the addresses of queues and repositories.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components import cluster_policies, image_contexts, naming, policies
from components.asking import Clients
from components.settings import Settings
from ops.errors import OpsError

RANDOM_END = r"-[0-9a-f]{7}"  # Pulumi, "Autonaming": the logical name and seven hex digits


@dataclass(frozen=True, kw_only=True)
class Names:
    """A stack's own things; those that are also outputs of the stack are called as there.

    queue_urls, dead_letter_queue_urls, agent_policies: by runtime. image_repositories: by the image's name.
    agent_roles: by runtime, what the program gave its agents; none where the cluster is not the stack's own.
    agent_policies: what a role for such agents must be allowed, as an IAM document.
    """

    jobs_table: str
    input_bucket: str
    output_bucket: str
    models_bucket: str
    jobs_topic_arn: str
    results_topic_arn: str
    queue_urls: Mapping[str, str]
    dead_letter_queue_urls: Mapping[str, str]
    image_repositories: Mapping[str, str]
    agent_roles: Mapping[str, str]
    agent_policies: Mapping[str, policies.Document]


def names(settings: Settings, clients: Clients) -> Names:
    """Raises: OpsError, when AWS can't be asked or the stack is not there."""
    try:
        return _names(settings, clients)
    except (ClientError, BotoCoreError) as error:
        raise OpsError(
            f"AWS does not tell what {naming.prefixed(settings)} is made of: {error} Is the stack up in "
            f"{settings.region}, in the account of these credentials?"
        ) from error


def rows(found: Names) -> list[tuple[str, str]]:
    """Everything that is one word long: `jobs_table`, `queue_urls.sdxl` and its value."""
    told = {name: value for name, value in vars(found).items() if name != "agent_policies"}
    flat: list[tuple[str, str]] = []
    for name, value in told.items():
        flat += [(name, value)] if isinstance(value, str) else [(f"{name}.{key}", each) for key, each in value.items()]
    return flat


def _names(settings: Settings, clients: Clients) -> Names:
    account = str(clients("sts").get_caller_identity()["Account"])
    buckets = {kind: _bucket(settings, clients("s3"), kind) for kind in ("input", "output", "models")}
    queues = {runtime.name: naming.queue(settings, runtime.name) for runtime in settings.runtimes}
    dead = {runtime.name: naming.dead_letter_queue(settings, runtime.name) for runtime in settings.runtimes}
    arns = _Arns(policies.partition(settings.region), settings.region, account)
    return Names(
        jobs_table=naming.jobs_table(settings),
        input_bucket=buckets["input"],
        output_bucket=buckets["output"],
        models_bucket=buckets["models"],
        jobs_topic_arn=arns.of("sns", naming.topic(settings, "jobs")),
        results_topic_arn=arns.of("sns", naming.topic(settings, "results")),
        queue_urls={name: _url(clients("sqs"), queue) for name, queue in queues.items()},
        dead_letter_queue_urls={name: _url(clients("sqs"), queue) for name, queue in dead.items()},
        image_repositories=_repositories(settings, clients),
        agent_roles={name: arns.role(naming.agent_role(settings, name)) for name in queues if settings.has_new_cluster},
        agent_policies=_agent_policies(settings, arns, buckets),
    )


@dataclass(frozen=True)
class _Arns:
    """Writes ARNs as AWS does (Service Authorization Reference, "Resource types")."""

    partition: str
    region: str
    account: str

    def of(self, service: str, rest: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{rest}"

    def role(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    def bucket(self, name: str) -> str:
        return f"arn:{self.partition}:s3:::{name}"


def _bucket(settings: Settings, s3: Any, kind: str) -> str:
    start = naming.bucket(settings, kind)
    pages = s3.get_paginator("list_buckets").paginate(Prefix=f"{start}-", BucketRegion=settings.region)
    there = [str(each["Name"]) for page in pages for each in page.get("Buckets", [])]
    found = [name for name in there if re.fullmatch(re.escape(start) + RANDOM_END, name)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise OpsError(f"There is no bucket {start}-… in {settings.region}: run `pulumi up`, or name another --stack.")
    raise OpsError(
        f"{', '.join(sorted(found))} could each be the stack's bucket: `pulumi stack --show-urns` tells which one is."
    )


def _url(sqs: Any, queue: str) -> str:
    return str(sqs.get_queue_url(QueueName=queue)["QueueUrl"])


def _repositories(settings: Settings, clients: Clients) -> dict[str, str]:
    wanted = {naming.repository(settings, name): name for name in image_contexts.repositories(settings)}
    if not wanted:
        return {}
    found = clients("ecr").describe_repositories(repositoryNames=list(wanted))["repositories"]
    urls = {wanted[each["repositoryName"]]: str(each["repositoryUri"]) for each in found}
    return {name: urls[name] for name in wanted.values()}


def _agent_policies(settings: Settings, arns: _Arns, buckets: Mapping[str, str]) -> dict[str, policies.Document]:
    """As `components/runtime_access.py` gives them to agents in a cluster of the stack's own."""
    return {
        runtime.name: cluster_policies.agent(
            cluster_policies.AgentArns(
                queue=arns.of("sqs", naming.queue(settings, runtime.name)),
                table=arns.of("dynamodb", f"table/{naming.jobs_table(settings)}"),
                input_bucket=arns.bucket(buckets["input"]),
                output_bucket=arns.bucket(buckets["output"]),
                models=None if runtime.models.mode == "image" else arns.bucket(buckets["models"]),
                results_topic=arns.of("sns", naming.topic(settings, "results")),
                files=tuple(arns.bucket(name) for name in settings.storage.file_buckets),
            ),
            runtime.name,
        )
        for runtime in settings.runtimes
    }
