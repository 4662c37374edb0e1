"""Caches of public registries in this account's own: builds and nodes meet no limit of theirs."""

import json
from dataclasses import dataclass

import pulumi
from pulumi_aws import ecr

from components import image_policies, naming
from components.image_provider import CacheSweep
from components.settings import Settings
from components.settings_platform import UPSTREAMS, CacheSettings


@dataclass(frozen=True)
class ImageCachesArgs:
    settings: Settings


class ImageCaches(pulumi.ComponentResource):
    """A rule for each cache. Nodes may fill them by their own roles (`image_policies.cache_puller`)."""

    def __init__(self, name: str, args: ImageCachesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:images:ImageCaches", name, None, opts)
        for cache in args.settings.images.caches:
            self._cache(args.settings, cache)
        self.register_outputs({})

    def _cache(self, settings: Settings, cache: CacheSettings) -> None:
        """ECR makes its repositories when they are first pulled from, as the template says; they go with the rule."""
        prefix, label = naming.repository(settings, cache.upstream), f"cache-{cache.upstream}"
        template = ecr.RepositoryCreationTemplate(
            label,
            prefix=prefix,
            applied_fors=["PULL_THROUGH_CACHE"],
            description=f"Images of {UPSTREAMS[cache.upstream]} that were pulled through the cache.",
            image_tag_mutability="MUTABLE",  # a tag follows the upstream's
            encryption_configurations=[{"encryption_type": "AES256"}],
            lifecycle_policy=json.dumps(image_policies.lifecycle(settings.images.keep)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        sweep = CacheSweep(
            label,
            {"prefix": prefix, "region": settings.region, "profile": pulumi.Config("aws").get("profile")},
            pulumi.ResourceOptions(parent=self),
        )
        ecr.PullThroughCacheRule(
            label,
            ecr_repository_prefix=prefix,
            upstream_registry_url=UPSTREAMS[cache.upstream],
            credential_arn=cache.secret_arn,
            # The rule goes first, so that no pull makes a repository again behind the sweep
            opts=pulumi.ResourceOptions(parent=self, depends_on=[template, sweep]),
        )
