"""Settings of what every stack has without a cluster: its API and its storage."""

# ruff: noqa: RUF009 - `checked` is `dataclasses.field` with a check
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from components.schema import checked, flag, many, nested, one_of, optional, text, whole

MAX_CLIENTS = 100  # of a region's 300 usage plans (API Gateway quotas)
# Values that CloudWatch Logs takes (PutRetentionPolicy), up to two years.
LOG_RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731)

# Registries that ECR fetches from by itself (ECR user guide, "Sync an upstream registry"), by the name of their cache.
UPSTREAMS = {
    "ecr-public": "public.ecr.aws",
    "k8s": "registry.k8s.io",
    "quay": "quay.io",
    "docker-hub": "registry-1.docker.io",
    "github": "ghcr.io",
}
NAMED_UPSTREAMS = ("docker-hub", "github")  # they want to know who asks

# Versions of the chart aws-for-fluent-bit to the tags of its image, which follow no rule (aws/eks-charts, values.yaml).
FLUENT_BIT_IMAGES = {"0.2.0": "3.2.1"}

_client = text(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?", "client name: a letter, then up to 31 of a-z, 0-9 and inner `-`")
_secret = text(
    r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:ecr-pullthroughcache/[\w/+=.@-]+",
    "ARN of a secret of Secrets Manager whose name begins with `ecr-pullthroughcache/`",
)
_domain = text(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", "domain name such as `images.example.com`")
_certificate = text(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]{36}", "ARN of an ACM certificate")
_endpoint = text(r"vpce-[0-9a-f]{8,17}", "endpoint id such as `vpce-0123456789abcdef0`")
_email = text(r"[^@\s]{1,64}@[^@\s]{1,190}", "mail address")
_zone = text(r"Z[A-Z0-9]{1,31}", "id of a Route 53 hosted zone, such as `Z0123456789ABCDEFGHIJ`")
_bucket = text(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "bucket name: 3 to 63 of a-z, 0-9, `.` and `-`")


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """One client of the API, with a key and a usage plan of its own.

    rate: requests per second, and burst: requests at once; the API's own numbers when left out.
    quota: requests per calendar month; none when left out.
    """

    name: str = checked(_client)
    rate: int | None = checked(whole(1, 10000, "requests per second"), None)
    burst: int | None = checked(whole(1, 5000, "requests"), None)
    quota: int | None = checked(whole(1, 2_000_000_000, "requests per month"), None)


@dataclass(frozen=True, kw_only=True)
class DomainSettings:
    """A name of one's own for the API.

    certificate_arn: an ACM certificate of the stack's region; without it one is made, and proven in the zone.
    zone_id: the Route 53 zone in which the name is pointed at the API; without it that is done elsewhere, by hand.
    """

    name: str = checked(_domain)
    certificate_arn: str | None = checked(_certificate, None)
    zone_id: str | None = checked(_zone, None)


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """The API and its functions. architecture: `host` is this machine's own, and its Python: for local mode only.

    clients: who may call, each with a key; rate_per_s, burst: of each client that names no numbers of its own
    (the defaults are the public sample's; 10,000 and 5,000 are a region's quota).
    url_expiry_s: life of presigned URLs; they die with the credentials that signed them, 12 h at the latest.
    iam_auth: requests must be signed by an IAM principal too, beside the key. waf: AWS WAF in front, by AWS's rules.
    private: the API is reached from the stack's own network only, by an interface endpoint that is made there.
    vpc_endpoint_id: of an endpoint for `execute-api` that exists, through which alone the API is then reached. Either
    way, that network's private DNS leads every API Gateway name of the region to the endpoint.
    """

    architecture: str = checked(one_of("arm64", "x86_64", "host"), "arm64")
    python: str = checked(one_of("3.12", "3.13", "3.14"), "3.13")
    memory_mb: int = checked(whole(128, 10240, "MB"), 512)
    rate_per_s: int = checked(whole(1, 10000, "requests per second"), 30)
    burst: int = checked(whole(1, 5000, "requests"), 50)
    log_retention_days: int = checked(one_of(*LOG_RETENTION_DAYS), 30)
    url_expiry_s: int = checked(whole(60, 43200, "seconds"), 3600)
    clients: tuple[ClientSettings, ...] = checked(
        many(nested(ClientSettings), 1, MAX_CLIENTS), (ClientSettings(name="default"),)
    )
    iam_auth: bool = checked(flag, default=False)
    waf: bool = checked(flag, default=False)
    private: bool = checked(flag, default=False)
    vpc_endpoint_id: str | None = checked(_endpoint, None)
    domain: DomainSettings | None = checked(optional(DomainSettings), None)


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """retention_days: life of a job's record, inputs and outputs. file_buckets: where `s3://` files may come from."""

    retention_days: int = checked(whole(1, 3650, "days"), 30)
    file_buckets: tuple[str, ...] = checked(many(_bucket, 0, 20), ())


@dataclass(frozen=True, kw_only=True)
class ObservabilitySettings:
    """What calls a person, and whom. emails: who is told of alarms and spending, after they confirmed AWS's mail.

    oldest_job_s: age of a waiting job at which somebody is called. api_faults: 5xx answers within 5 minutes.
    spend_usd_per_hour: what all machines together may cost, for 45 minutes, before somebody is called; set it just
    above your busiest hour. Only where the cluster is the stack's own: machines of another carry no tags of the stack.
    The default is what ten g5.xlarge cost on demand (0129).
    budget_usd_per_month: of the whole account, told by mail and to the alarms' topic at 80 % and 100 %; no budget when
    left out.
    logs: how the logs of pods get into log groups, where a cluster is the stack's own; `none` keeps them on the node,
    with which they go. log_retention_days: of those. fluent_bit: version of the chart aws-for-fluent-bit.
    """

    emails: tuple[str, ...] = checked(many(_email, 0, 10), ())
    oldest_job_s: int = checked(whole(60, 1_209_600, "seconds"), 1800)
    api_faults: int = checked(whole(1, 100_000, "answers"), 5)
    spend_usd_per_hour: int = checked(whole(1, 10_000, "US dollars an hour"), 10)
    budget_usd_per_month: int | None = checked(whole(1, 1_000_000, "US dollars"), None)
    logs: str = checked(one_of("none", "fluent-bit", "cloudwatch-addon"), "fluent-bit")
    log_retention_days: int = checked(one_of(*LOG_RETENTION_DAYS), 30)
    fluent_bit: str = checked(text(r"\d+\.\d+\.\d+", "version such as `0.2.0`"), "0.2.0")


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """A cache of a public registry: its images lie under `<stack>/<upstream>/…` here once they were pulled.

    Nodes without a NAT gateway can't be the first to pull an image through it (ECR user guide, "VPC endpoints").
    secret_arn: `username` and `accessToken` for docker-hub and github, without which they refuse ECR.
    """

    upstream: str = checked(one_of(*UPSTREAMS))
    secret_arn: str | None = checked(_secret, None)


@dataclass(frozen=True, kw_only=True)
class ImagesSettings:
    """Images of the agent and the runtimes, and repositories for them. An `image` that is named is never built.

    build: how the others come about. `codebuild` builds at AWS, `local` with this machine's Docker, `given` not at all.
    keep: builds in each repository; older ones expire, so keep more than you may want to go back to.
    caches: of public registries, for nodes and builds.
    machine: of CodeBuild; a runtime's image needs the disk of `medium`, 128 GB. build_timeout_min: of one build.
    """

    build: str = checked(one_of("codebuild", "local", "given"), "codebuild")
    repositories: bool = checked(flag, default=True)
    keep: int = checked(whole(2, 300, "builds"), 20)
    caches: tuple[CacheSettings, ...] = checked(many(nested(CacheSettings), 0, len(UPSTREAMS)), ())
    machine: str = checked(one_of("small", "medium", "large"), "medium")
    build_timeout_min: int = checked(whole(5, 480, "minutes"), 60)


@dataclass(frozen=True, kw_only=True)
class PlatformSections:
    """The sections of this file, as the stack file names them."""

    api: ApiSettings = checked(nested(ApiSettings), ApiSettings())
    storage: StorageSettings = checked(nested(StorageSettings), StorageSettings())
    images: ImagesSettings = checked(nested(ImagesSettings), ImagesSettings())
    observability: ObservabilitySettings = checked(nested(ObservabilitySettings), ObservabilitySettings())


def conflicts(sections: PlatformSections) -> Iterator[str]:
    """What is wrong between settings of this file that are right by themselves."""
    for name, count in Counter(client.name for client in sections.api.clients).items():
        if count > 1:
            yield f"api.clients: {count} are named {name}; give each its own name, since keys are told by it."
    domain = sections.api.domain
    if domain and not (domain.certificate_arn or domain.zone_id):
        yield (
            "api.domain: has neither certificate_arn nor zone_id; name a certificate of this region, or the Route 53 "
            "zone of the name in which one can be proven."
        )
    yield from _cache_conflicts(sections.images)
    watch = sections.observability
    if watch.budget_usd_per_month is not None and not watch.emails:
        yield "observability.budget_usd_per_month: tells nobody; name who is told in observability.emails."
    api = sections.api
    if domain and (api.private or api.vpc_endpoint_id):
        yield (
            "api.domain: a private API has no name of its own here; leave out api.domain, or api.private and "
            "api.vpc_endpoint_id."
        )
    if api.private and api.vpc_endpoint_id:
        yield (
            f"api.private: asks for an endpoint to be made and vpc_endpoint_id names {api.vpc_endpoint_id}; leave out "
            "one of them."
        )


def _cache_conflicts(images: ImagesSettings) -> Iterator[str]:
    for upstream, count in Counter(cache.upstream for cache in images.caches).items():
        if count > 1:
            yield f"images.caches: {count} are of {upstream}; one is enough."
    for index, cache in enumerate(images.caches):
        key, is_named = f"images.caches[{index}].secret_arn", cache.upstream in NAMED_UPSTREAMS
        if is_named and not cache.secret_arn:
            yield f"{key}: is missing; {cache.upstream} answers ECR only with credentials, so store them and name it."
        if cache.secret_arn and not is_named:
            yield f"{key}: {cache.upstream} asks for no credentials; leave it out."
