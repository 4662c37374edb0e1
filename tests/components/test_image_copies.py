"""Controllers' images that nodes can't pull are copied, each in the version of its chart, and nothing else is."""

from typing import Any

import pytest

from components.image_copies import Copy, copies
from components.keda_operator import chart_values as keda_values
from components.logs import chart_values as logs_values
from components.settings_cluster import NEEDED_WITHOUT_NAT
from components.settings_platform import FLUENT_BIT_IMAGES, ObservabilitySettings
from tests.components.example import stack
from tests.components.test_settings_conflicts import EXISTING, MIRRORS

ISOLATED: dict[str, Any] = {
    "network": {"nat": "none", "endpoints": list(NEEDED_WITHOUT_NAT)},
    "cluster": {"create": True},
}
CONTROLLERS = {"karpenter", "fluent-bit", "keda", "keda-metrics", "keda-webhooks"}
DIGEST = f"sha256:{'a' * 64}"


def names(**sections: Any) -> set[str]:
    return {copy.name for copy in copies(stack(**(ISOLATED | sections)))}


def test_every_image_of_a_controller_is_copied_where_nodes_have_no_way_out() -> None:
    assert names() == CONTROLLERS


@pytest.mark.parametrize(
    ("sections", "left"),
    [
        ({"network": {"nat": "single"}}, set()),
        ({"network": {"nat": "none", **EXISTING}}, set()),
        ({"cluster": {"create": False}}, set()),
        ({"kubernetes": {"context": "work"}}, set()),
        ({"cluster": {"create": True, "registries": MIRRORS}}, set()),
        (
            {"cluster": {"create": True, "registries": {"github": MIRRORS["github"]}}},
            {"karpenter", "fluent-bit"},
        ),
        (
            {"cluster": {"create": True, "registries": {"ecr_public": MIRRORS["ecr_public"]}}},
            {"keda", "keda-metrics", "keda-webhooks"},
        ),
        ({"observability": {"logs": "cloudwatch-addon"}}, CONTROLLERS - {"fluent-bit"}),
        ({"observability": {"logs": "none"}}, CONTROLLERS - {"fluent-bit"}),
    ],
    ids=[
        "a way out",
        "another's VPC",
        "no cluster",
        "another's cluster",
        "mirrors",
        "KEDA's",
        "AWS's",
        "add-on",
        "none",
    ],
)
def test_what_nodes_reach_otherwise_or_nobody_runs_is_not_copied(sections: dict[str, Any], left: set[str]) -> None:
    assert names(**sections) == left


def test_the_chart_of_another_version_has_the_image_of_that_version() -> None:
    settings = stack(**ISOLATED, karpenter={"version": "1.15.0"}, keda={"version": "2.22.0"})
    found = {copy.name: copy for copy in copies(settings)}
    assert found["karpenter"] == Copy("karpenter", "public.ecr.aws/karpenter/controller", "1.15.0")
    assert found["keda-metrics"] == Copy("keda-metrics", "ghcr.io/kedacore/keda-metrics-apiserver", "2.22.0")
    assert {found[name].tag for name in ("keda", "keda-webhooks")} == {"2.22.0"}


def test_the_pinned_chart_of_fluent_bit_has_an_image_that_is_known() -> None:
    assert ObservabilitySettings().fluent_bit in FLUENT_BIT_IMAGES


def test_kedas_chart_is_told_the_digest_of_each_copy_behind_its_version() -> None:
    copied = {name: f"registry.example/own/{name}@{DIGEST}" for name in ("keda", "keda-metrics", "keda-webhooks")}
    values = keda_values(stack(keda={"version": "2.22.0"}), copied)
    assert values["global"] == {"image": {"registry": "registry.example"}}
    tag = f"2.22.0@{DIGEST}"
    assert values["image"] == {
        "pullPolicy": "IfNotPresent",
        "keda": {"repository": "own/keda", "tag": tag},
        "metricsApiServer": {"repository": "own/keda-metrics", "tag": tag},
        "webhooks": {"repository": "own/keda-webhooks", "tag": tag},
    }


def test_without_copies_the_charts_name_their_images_themselves() -> None:
    values = keda_values(stack(), {})
    assert (values["global"], values["image"]) == (
        {"image": {"registry": "ghcr.io"}},
        {"pullPolicy": "IfNotPresent"},
    )
    assert logs_values(stack())["image"] == {"repository": "public.ecr.aws/aws-observability/aws-for-fluent-bit"}


def test_fluent_bits_chart_is_told_the_digest_of_the_copy_behind_the_images_version() -> None:
    image = logs_values(stack(), f"registry.example/own/fluent-bit@{DIGEST}")["image"]
    assert image == {"repository": "registry.example/own/fluent-bit", "tag": f"3.2.1@{DIGEST}"}
