"""All rows by class name."""

from local.painter.nodes import (
    composite,
    conditioning,
    faults,
    images,
    latents,
    loaders,
    masks,
    outputs,
    sampling,
    transforms,
)
from local.painter.nodes.spec import NodeClass

_ROWS = (
    *loaders.ROWS,
    *conditioning.ROWS,
    *latents.ROWS,
    *sampling.ROWS,
    *images.ROWS,
    *transforms.ROWS,
    *masks.ROWS,
    *composite.ROWS,
    *outputs.ROWS,
)


def node_classes(*, has_faults: bool) -> dict[str, NodeClass]:
    """Rows by class name, those that fail on purpose only when asked for."""
    return {row.name: row for row in (*_ROWS, *(faults.ROWS if has_faults else ()))}
