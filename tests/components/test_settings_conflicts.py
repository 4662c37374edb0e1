"""Settings that are right by themselves and wrong together, in what was added beside the first ones."""

from typing import Any

import pytest

from components.settings import SettingsError
from components.settings_cluster import NEEDED_WITHOUT_NAT
from tests.components.example import stack

EXISTING = {"vpc_id": "vpc-00000001", "private_subnet_ids": ["subnet-00000001", "subnet-00000002"]}
DIGEST = f"sha256:{'0' * 64}"
RUNTIME = {"name": "sd15", "type": "comfyui", "image": "registry.example/comfyui:1"}


NO_WAY = "with nat `none` nodes have no way to"
MIRRORS = {"ecr_public": "mirror.example/ecr", "github": "mirror.example:5000/github"}


def isolated(**cluster: Any) -> dict[str, Any]:
    return {
        "network": {"nat": "none", "endpoints": list(NEEDED_WITHOUT_NAT)},
        "cluster": {"create": True} | cluster,
    }


def copying(**models: Any) -> dict[str, Any]:
    return {"runtimes": [RUNTIME | {"models": models}]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"cluster": {"create": True, "version": "1.29"}},
        "sd-async:cluster.version: 1.29 can't narrow a pod's rights to its own node, which 1.30 can; set it to 1.30",
    ),
    (
        copying(mode="mount", copy={"size_gib": 50}),
        "sd-async:runtimes[0].models.copy: is set and mode is mount, which copies nothing; set mode to copy",
    ),
    (
        copying(mode="copy", copy={"refresh_s": 29}),
        "sd-async:runtimes[0].models.copy.refresh_s: 29 is neither 0 for never nor at least 30",
    ),
    (
        copying(mode="copy", copy={"include": ["a,b"]}),
        "sd-async:runtimes[0].models.copy.include[0]: a,b is no pattern of files",
    ),
    (
        {"cluster": {"create": True}, "api": {"private": True, "vpc_endpoint_id": "vpce-01234567"}},
        "sd-async:api.private: asks for an endpoint to be made and vpc_endpoint_id names vpce-01234567; leave out one",
    ),
    (
        {"api": {"private": True}},
        "sd-async:api.private: an endpoint is made only in a network of the stack's own and this one has none; make",
    ),
    (
        {"cluster": {"create": True}, "network": EXISTING, "api": {"private": True}},
        "sd-async:api.private: an endpoint is made only in a network of the stack's own and this one has vpc-00000001;",
    ),
    (
        {"cluster": {"create": True}, "api": {"private": True, "domain": {"name": "a.example.com", "zone_id": "Z1"}}},
        "sd-async:api.domain: a private API has no name of its own here; leave out api.domain, or api.private",
    ),
    (
        {"cluster": {"create": True}, "runtimes": [RUNTIME]},
        (
            "sd-async:runtimes[0].image: registry.example/comfyui:1 is a tag, which may come to name another image, "
            "and the stack's own cluster takes digests; write registry.example/comfyui:1@sha256:… with the digest that "
            "is printed by `docker buildx imagetools inspect registry.example/comfyui:1`."
        ),
    ),
    (
        {"cluster": {"create": True}, "agent": {"image": "a/b:1"}, "images": {"build": "given"}},
        "sd-async:agent.image: a/b:1 is a tag, which may come to name another image,",
    ),
    (
        isolated(registries={"github": "mirror.example/github"}) | {"images": {"build": "given"}},
        (
            f"sd-async:cluster.registries.ecr_public: {NO_WAY} public.ecr.aws, and images.build: given copies no image "
            "from there; leave build out and they are copied, name a mirror that nodes reach, or set network.nat to "
            "single."
        ),
    ),
    (
        isolated(registries={"ecr_public": "mirror.example/ecr"}) | {"images": {"build": "local"}},
        f"sd-async:cluster.registries.github: {NO_WAY} ghcr.io, and images.build: local copies no image from there;",
    ),
    (
        isolated(registries={"ecr_public": "mirror.example/ecr"}) | {"images": {"repositories": False}},
        f"sd-async:cluster.registries.github: {NO_WAY} ghcr.io, and images.repositories: false copies no image from",
    ),
    (
        isolated() | {"observability": {"fluent_bit": "0.3.0"}},
        "sd-async:observability.fluent_bit: 0.3.0 is a chart whose image is not known here, so that it can't be copied",
    ),
    (
        isolated(registries=MIRRORS) | {"karpenter": {"dcgm_exporter": True}},
        "sd-async:karpenter.dcgm_exporter: its image is at nvcr.io, to which nodes have no way with nat `none`",
    ),
    (
        {"observability": {"oldest_job_s": 86_400}, "storage": {"retention_days": 1}},
        "sd-async:observability.oldest_job_s: 86400 is an age that no job reaches in its queue, which keeps one for",
    ),
    (
        {"runtimes": [RUNTIME], "observability": {"oldest_job_s": 604_800 + 5 * (3600 + 120 + 60)}},
        "sd-async:observability.oldest_job_s: 623700 is an age that no job reaches in its queue, which",
    ),
]


@pytest.mark.parametrize(("sections", "sentence"), REFUSED, ids=[sentence[9:60] for _, sentence in REFUSED])
def test_what_does_not_go_together_is_refused_with_the_way_out(sections: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        stack(**sections)
    [found] = caught.value.problems
    assert found.startswith(sentence)


@pytest.mark.parametrize(
    "sections",
    [
        copying(mode="copy", copy={"refresh_s": 30, "include": ["VAE/*"]}),
        copying(mode="copy"),
        copying(mode="mount", copy={"size_gib": 100}),
        {"cluster": {"create": True}, "api": {"private": True}},
        {"cluster": {"create": True}, "network": EXISTING, "api": {"vpc_endpoint_id": "vpce-01234567"}},
        {"cluster": {"create": True}, "runtimes": [RUNTIME | {"image": f"registry.example/comfyui@{DIGEST}"}]},
        {"cluster": {"create": True}, "agent": {"image": f"a/b:1@{DIGEST}"}, "images": {"build": "given"}},
        {"cluster": {"create": True}, "runtimes": [RUNTIME | {"image": None}]},
        {"runtimes": [RUNTIME], "agent": {"image": "a/b:1"}},
        {"cluster": {"create": True}, "kubernetes": {"context": "kind"}, "runtimes": [RUNTIME]},
        isolated(registries=MIRRORS) | {"images": {"build": "given"}},
        isolated(registries=MIRRORS) | {"images": {"build": "local"}},
        isolated(registries=MIRRORS) | {"images": {"repositories": False}},
        isolated(registries=MIRRORS) | {"observability": {"fluent_bit": "0.3.0"}},
        isolated() | {"observability": {"fluent_bit": "0.3.0", "logs": "none"}},
        isolated(),
        {"cluster": {"create": True}, "images": {"build": "given"}, "observability": {"fluent_bit": "0.3.0"}},
        {"runtimes": [RUNTIME], "observability": {"oldest_job_s": 623_699}},
        {"cluster": {"create": True, "version": "1.30"}},
        {"cluster": {"create": True, "version": "1.29"}, "kubernetes": {"context": "kind"}},
    ],
    ids=[
        "a look every 30 s",
        "all defaults",
        "a default said aloud",
        "private in a new VPC",
        "an endpoint that exists",
        "a digest",
        "a tag and a digest",
        "an image that is built, by digest",
        "a tag, and no cluster",
        "a tag, and a cluster that may have none but local images",
        "mirrors and nothing that builds",
        "mirrors and Docker here",
        "mirrors and no repository",
        "mirrors and another chart",
        "no way out and no sender of logs",
        "no way out, and all that is needed copied",
        "a way out, and no need for copies",
        "an age that a job reaches in its last second",
        "the oldest Kubernetes",
        "an older one that is not the stack's own",
    ],
)
def test_what_is_just_inside_is_taken(sections: dict[str, Any]) -> None:
    assert stack(**sections)
