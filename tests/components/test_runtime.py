"""A runtime's release: the chart of this repository, with the stack's own addresses."""

import pulumi

from components.chart_values import values_for
from components.runtime import CHART, Runtime, RuntimeArgs
from local.helm import CHART as CHART_FOLDER
from local.helm import ROOT, render
from tests.components.test_chart_values import ADDRESSES, RUNTIME, SETTINGS
from tests.support.engine import Engine, build

RELEASE = "kubernetes:helm.sh/v3:Release"


def place() -> Engine:
    return build(release)


def release() -> Runtime:
    args = RuntimeArgs(
        settings=SETTINGS,
        runtime=RUNTIME,
        queue_url=pulumi.Output.from_input(ADDRESSES.queue_url),
        jobs_table=ADDRESSES.jobs_table,
        output_bucket=ADDRESSES.output_bucket,
        input_bucket=ADDRESSES.input_bucket,
        models_bucket=ADDRESSES.models_bucket,
        results_topic_arn=ADDRESSES.results_topic_arn,
        runtime_image=pulumi.Output.from_input(ADDRESSES.runtime_image),
        agent_image=ADDRESSES.agent_image,
    )
    return Runtime("comfy", args)


def test_a_runtime_is_one_release_named_after_it() -> None:
    [release] = place().inputs(RELEASE)
    assert (release["name"], release["namespace"], release["createNamespace"]) == ("comfy", "sd-async", True)


def test_the_release_carries_the_stacks_addresses() -> None:
    [release] = place().inputs(RELEASE)
    assert release["values"] == values_for(SETTINGS, RUNTIME, ADDRESSES)


def test_the_chart_takes_what_the_release_carries() -> None:
    [release] = place().inputs(RELEASE)
    kinds = [document["kind"] for document in render(CHART_FOLDER, "comfy", "sd-async", release["values"])]
    assert kinds == ["NetworkPolicy", "ServiceAccount", "Deployment"]


def test_the_release_is_not_waited_for_because_no_gpu_may_be_wanted() -> None:
    [release] = place().inputs(RELEASE)
    assert release["skipAwait"] is True, "a Deployment without a pod would hold up `pulumi up`"


def test_the_chart_is_the_one_of_this_repository() -> None:
    assert (ROOT / CHART).resolve() == CHART_FOLDER
