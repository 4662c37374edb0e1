"""How a node is described. Names, types, bounds and order are those of ComfyUI's own /object_info."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.painter.folders import Folders
from local.painter.work import Result

MAX_RESOLUTION = 16384  # ComfyUI's own bound of a picture's side
MAX_SEED = 0xFFFFFFFFFFFFFFFF
PLAIN_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN"})

Choices = Sequence[str] | Callable[[Folders], list[str]]


@dataclass(frozen=True, slots=True)
class Input:
    """type: a link's type, a plain one of PLAIN_TYPES, or the choices of a list, which may depend on the folders."""

    name: str
    type: str | Choices
    options: dict[str, Any] = field(default_factory=dict)
    is_required: bool = True

    def choices(self, folders: Folders) -> list[str] | None:
        if isinstance(self.type, str):
            return None
        return self.type(folders) if callable(self.type) else list(self.type)

    def config(self, folders: Folders) -> list[Any]:
        """The pair that /object_info and validation errors show."""
        choices = self.choices(folders)
        shown: list[Any] = [self.type if choices is None else choices]
        return [*shown, self.options] if self.options else shown


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClass:
    """One row. outputs: (type, name) per slot. function: called with Work and the inputs by name.

    is_changed: text over what a node depends on beside its inputs, such as a file's content.
    check: a reason to refuse the inputs, by input name, in words; such an input is not held to its list of choices.
    """

    name: str
    display_name: str
    category: str
    inputs: tuple[Input, ...]
    function: Callable[..., Result]
    outputs: tuple[tuple[str, str], ...] = ()
    is_output: bool = False
    has_hidden: bool = False
    module: str = "nodes"
    description: str = ""
    is_changed: Callable[[Folders, dict[str, Any]], str] | None = None
    check: dict[str, Callable[[Folders, Any], str | None]] = field(default_factory=dict)

    @property
    def required(self) -> list[Input]:
        return [entry for entry in self.inputs if entry.is_required]

    @property
    def optional(self) -> list[Input]:
        return [entry for entry in self.inputs if not entry.is_required]


def integer(name: str, default: int, low: int, high: int, step: int = 1, **more: Any) -> Input:
    return Input(name, "INT", {"default": default, "min": low, "max": high, "step": step, **more})


def number(name: str, default: float, low: float, high: float, step: float, **more: Any) -> Input:
    return Input(name, "FLOAT", {"default": default, "min": low, "max": high, "step": step, **more})


def one_image(name: str = "IMAGE") -> tuple[tuple[str, str], ...]:
    return (("IMAGE", name),)


def info(node: NodeClass, folders: Folders) -> dict[str, Any]:
    """Entry of /object_info."""
    groups = {"required": node.required, "optional": node.optional}
    schema: dict[str, Any] = {
        group: {entry.name: entry.config(folders) for entry in entries}
        for group, entries in groups.items()
        if entries or group == "required"
    }
    order = {group: list(entries) for group, entries in schema.items()}
    if node.has_hidden:
        schema["hidden"] = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}
        order["hidden"] = list(schema["hidden"])
    return {
        "input": schema,
        "input_order": order,
        "output": [kind for kind, _ in node.outputs],
        "output_is_list": [False for _ in node.outputs],
        "output_name": [name for _, name in node.outputs],
        "name": node.name,
        "display_name": node.display_name,
        "description": node.description,
        "python_module": node.module,
        "category": node.category,
        "output_node": node.is_output,
    }
