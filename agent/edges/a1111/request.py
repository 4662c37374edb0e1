"""A job as the runtime is asked for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.errors import InvalidWorkflowError
from agent.ports import Work
from sd_async.contract.jobs import JobType

ROUTES = {
    JobType.TEXT_TO_IMAGE: "txt2img",
    JobType.IMAGE_TO_IMAGE: "img2img",
    JobType.INPAINTING: "img2img",
    JobType.EXTRA_SINGLE_IMAGE: "extra-single-image",
    JobType.EXTRA_BATCH_IMAGES: "extra-batch-images",
}
GENERATING = frozenset({"txt2img", "img2img"})
# Said to a queue in front by the public sample's clients; the runtime would refuse them as unknown scripts.
QUEUE_KEYS = frozenset({"task", "sd_model_checkpoint", "id_task", "uid", "save_dir"})
CHECKPOINT = "sd_model_checkpoint"
_NEEDED = {
    JobType.IMAGE_TO_IMAGE: ("init_images",),
    JobType.INPAINTING: ("init_images", "mask"),
    JobType.EXTRA_SINGLE_IMAGE: ("image",),
    JobType.EXTRA_BATCH_IMAGES: ("imageList",),
}


@dataclass(frozen=True, slots=True)
class Request:
    """hint: a checkpoint named among the queue's keys, which may also be no more than the queue's own name."""

    route: str
    payload: dict[str, Any]
    hint: str | None = None

    @property
    def generates(self) -> bool:
        return self.route in GENERATING

    @property
    def settings(self) -> Mapping[str, Any]:
        settings = self.payload.get("override_settings")
        return settings if isinstance(settings, dict) else {}

    def of_model(self, checkpoint: str) -> "Request":
        """The same on another model; a setting of the job's own comes before the queue's."""
        settings = {CHECKPOINT: checkpoint, **self.settings}
        return Request(self.route, {**self.payload, "override_settings": settings}, self.hint)


def request_of(work: Work) -> Request:
    """Raises: InvalidWorkflowError, for a payload that lacks a picture or has no scripts where they belong."""
    payload = dict(work.input)
    for name in _NEEDED.get(work.type, ()):
        if not payload.get(name):
            raise InvalidWorkflowError(f"input.{name} is missing; a job of type `{work.type}` needs it.")
    scripts = payload.pop("alwayson_scripts", None) or {}
    if not isinstance(scripts, dict):
        raise InvalidWorkflowError("input.alwayson_scripts is no object; it holds scripts by their title.")
    hint = scripts.get(CHECKPOINT)
    route = ROUTES[work.type]
    if route in GENERATING:
        payload["alwayson_scripts"] = {name: value for name, value in scripts.items() if name not in QUEUE_KEYS}
        # Its pictures are all that remains of a job, and its id is how the UI and its log speak of it.
        payload |= {"send_images": True, "force_task_id": work.run_id}
        if payload.get("save_images"):
            # The grid comes only with `save_images`, which would fill the runtime's disk with every job.
            payload["override_settings"] = {"samples_save": False, "grid_save": False, **_settings(payload)}
    if route == "img2img":
        payload["include_init_images"] = False
    return Request(route, payload, hint if isinstance(hint, str) and hint else None)


def _settings(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = payload.get("override_settings") or {}
    if not isinstance(settings, dict):
        raise InvalidWorkflowError("input.override_settings is no object; it holds settings by their name.")
    return settings
