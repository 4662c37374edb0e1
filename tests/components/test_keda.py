"""A runtime's ScaledObject on the cluster: the pure document, with the queue's own address."""

import pulumi

from components.keda import KedaArgs, RuntimeScaling
from components.scaling import scaled_object
from tests.components.test_chart_values import ADDRESSES, RUNTIME, SETTINGS
from tests.support.engine import build

SCALED_OBJECT = "kubernetes:keda.sh/v1alpha1:ScaledObject"


def test_the_document_of_scaling_is_what_is_placed() -> None:
    def scaling() -> RuntimeScaling:
        queue_url = pulumi.Output.from_input(ADDRESSES.queue_url)
        return RuntimeScaling("comfy", KedaArgs(settings=SETTINGS, runtime=RUNTIME, queue_url=queue_url))

    [placed] = build(scaling).inputs(SCALED_OBJECT)
    expected = scaled_object(
        RUNTIME,
        queue_url=ADDRESSES.queue_url,
        region="us-west-2",
        namespace="sd-async",
        deployment="comfy",
    )
    assert placed == expected
