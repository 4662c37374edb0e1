"""Every name in one place. Predictable ones start with `<project>-<stack>-`; buckets get a random end from Pulumi."""

from components.settings import Settings


def prefixed(settings: Settings, *parts: str) -> str:
    """Name at AWS: `sd-async-dev-jobs`. Settings see to it that the longest one fits."""
    return "-".join((settings.project, settings.stack, *parts))


def jobs_table(settings: Settings) -> str:
    return prefixed(settings, "jobs")


def bucket(settings: Settings, kind: str) -> str:
    """What the name of a bucket begins with. kind: `input`, `output`, `models` or `contexts`."""
    return prefixed(settings, kind)


def topic(settings: Settings, kind: str) -> str:
    """kind: `jobs` or `results`."""
    return prefixed(settings, kind)


def agent_role(settings: Settings, runtime: str) -> str:
    return prefixed(settings, "agent", runtime)


def queue(settings: Settings, runtime: str) -> str:
    return prefixed(settings, "jobs", runtime)


def dead_letter_queue(settings: Settings, runtime: str) -> str:
    return prefixed(settings, "dead", runtime)


def repository(settings: Settings, image: str) -> str:
    """`sd-async-dev/agent`, so that a registry's list is sorted by stack."""
    return f"{prefixed(settings)}/{image}"


def image_project(settings: Settings) -> str:
    return prefixed(settings, "images")


def build_log_group(project: str) -> str:
    """The group that CodeBuild would make by itself."""
    return f"/aws/codebuild/{project}"


def function_log_group(function: str) -> str:
    """The group that Lambda would make by itself, without an end to what it keeps."""
    return f"/aws/lambda/{function}"


def access_log_group(settings: Settings) -> str:
    return f"/aws/apigateway/{prefixed(settings, 'api')}"


def pods_log_group(settings: Settings) -> str:
    return f"/aws/eks/{cluster(settings)}/pods"


def path_part(path: str) -> str:
    """Logical name of a path: `/v1/jobs/{id}` is `v1-jobs-by-id`."""
    parts = (f"by-{part[1:-1].rstrip('+')}" if part.startswith("{") else part for part in path.split("/") if part)
    return "-".join(parts)


def cluster(settings: Settings) -> str:
    return prefixed(settings)


def discovery(settings: Settings) -> dict[str, str]:
    """Tag by which Karpenter finds the subnets of its nodes."""
    return {"karpenter.sh/discovery": cluster(settings)}


def tags(settings: Settings) -> dict[str, str]:
    """Of everything that can be tagged; bills are split by them once they are activated as cost allocation tags."""
    return {"project": settings.project, "stack": settings.stack, "managed-by": "pulumi"}


def node_tags(settings: Settings, component: str) -> dict[str, str]:
    """Of instances and disks that AWS or a controller makes for the stack, out of reach of the provider's defaults."""
    return tags(settings) | {"component": component, "Name": prefixed(settings, component)}


def models_prefix(runtime: str) -> str:
    """What the keys of a runtime's models begin with, in the models bucket."""
    return f"{runtime}/"


def volume_handle(settings: Settings, runtime: str) -> str:
    """Handle of a runtime's model volume, of which a cluster may have no second."""
    return f"{cluster(settings)}-models-{runtime}"
