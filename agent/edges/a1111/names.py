"""Names in a payload, checked before the run: the runtime would put its default in place of an unknown one."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from agent.edges.a1111.api import Api
from agent.edges.a1111.request import CHECKPOINT, Request
from agent.errors import InvalidWorkflowError

_CLOSE = 3
_MAX_SHOWN_CHARS = 200

# Name as a client may give it -> the one name that the runtime has for the thing.
Known = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """also: what the field may hold besides the runtime's own names."""

    field: str
    value: Any
    kind: str
    also: tuple[str, ...] = ()


class Names:
    """The runtime's lists, asked for once; a name that is not on one has it asked for again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lists: dict[str, Known | None] = {}
        self._options: Mapping[str, Any] = {}

    async def checked(self, request: Request, queue: str) -> tuple[Request, str]:
        """The request, with the model that its queue's keys ask for, and the title of the model that it will run on.

        queue: the runtime's name here, which is no checkpoint unless there is one of that name. The title is empty for
        whatever model the runtime takes by itself. Raises: InvalidWorkflowError naming field, value and close names.
        """
        # The queue's own name is looked for among what is known: it comes with every job of that form.
        if request.hint is not None and (
            request.hint != queue or request.hint in (await self._list("sd-models") or {})
        ):
            await self._check(_Asked(f"alwayson_scripts.{CHECKPOINT}", request.hint, "sd-models"))
            request = request.of_model(request.hint)
        for asked in _asked(request):
            await self._check(asked)
        return request, await self._model(request)

    async def _model(self, request: Request) -> str:
        if not request.generates:
            return ""
        await self._list("options")
        wanted = request.settings.get(CHECKPOINT) or self._options.get(CHECKPOINT) or ""
        models = await self._list("sd-models") or {}
        return models.get(str(wanted), str(wanted))

    async def _check(self, asked: _Asked) -> None:
        if asked.value in (None, "", *asked.also):
            return
        if not isinstance(asked.value, str):
            raise InvalidWorkflowError(f"input.{asked.field} is no text.")
        if await self._has(asked.kind, asked.value):
            return
        known = await self._list(asked.kind) or {}
        close = difflib.get_close_matches(asked.value, known, _CLOSE, 0.4) or list(known)[:_CLOSE]
        shown = ", ".join(f"`{name}`" for name in close)
        raise InvalidWorkflowError(
            f"input.{asked.field}: `{asked.value[:_MAX_SHOWN_CHARS]}` is none of the runtime's {_WORDS[asked.kind]}"
            + (f"; close to it: {shown}." if close else ", of which it has none.")
        )

    async def _has(self, kind: str, name: str) -> bool:
        """Whether there is such a name; true for what this version of the runtime has no list of."""
        for is_again in (False, True):
            known = await self._list(kind, is_again=is_again)
            if (
                known is None
                or _key(kind, name) in known
                or (kind == "samplers" and await self._is_with_scheduler(name))
            ):
                return True
        return False

    async def _is_with_scheduler(self, name: str) -> bool:
        """`DPM++ 2M Karras`, as older clients say it, is a sampler and a scheduler."""
        samplers, schedulers = await self._list("samplers") or {}, await self._list("schedulers") or {}
        return any(name.endswith(f" {end}") and name.removesuffix(f" {end}") in samplers for end in schedulers)

    async def _list(self, kind: str, *, is_again: bool = False) -> Known | None:
        """None where this version of the runtime has no such list. is_again: whatever is known already."""
        if kind == _HIRES:
            upscalers = await self._list("upscalers", is_again=is_again)
            return upscalers and {**upscalers, **(await self._list("latent-upscale-modes", is_again=is_again) or {})}
        if is_again or kind not in self._lists:
            if is_again and kind == "sd-models":
                await self._api.post("refresh-checkpoints")  # a file that came since its start is not listed before
            document = await self._api.get(_ROUTES.get(kind, kind))
            self._lists[kind] = None if document is None else _READERS[kind](document)
            if kind == "options" and isinstance(document, dict):
                self._options = document
        return self._lists[kind]


_HIRES = "hires upscalers"
_SAMPLER = ("Use same sampler",)
_SCHEDULER = ("Use same scheduler",)
_MODEL = ("Use same checkpoint",)


def _asked(request: Request) -> Iterator[_Asked]:
    payload = request.payload
    if not request.generates:
        for name in ("upscaler_1", "upscaler_2"):
            yield _Asked(name, payload.get(name), "upscalers", ("None",))
        return
    yield _Asked("sampler_name", payload.get("sampler_name"), "samplers")
    yield _Asked("sampler_index", payload.get("sampler_index"), "samplers")
    yield _Asked("scheduler", payload.get("scheduler"), "schedulers")
    yield _Asked("refiner_checkpoint", payload.get("refiner_checkpoint"), "sd-models", ("None",))
    if request.route == "txt2img" and payload.get("enable_hr"):
        yield _Asked("hr_sampler_name", payload.get("hr_sampler_name"), "samplers", _SAMPLER)
        yield _Asked("hr_scheduler", payload.get("hr_scheduler"), "schedulers", _SCHEDULER)
        yield _Asked("hr_checkpoint_name", payload.get("hr_checkpoint_name"), "sd-models", _MODEL)
        yield _Asked("hr_upscaler", payload.get("hr_upscaler"), _HIRES, ("None",))
    kind = f"scripts {request.route}"
    yield _Asked("script_name", payload.get("script_name"), kind, ("None",))
    for name in payload.get("alwayson_scripts", ()):
        yield _Asked(f"alwayson_scripts.{name}", name, kind)
    yield from _asked_settings(request.settings)


def _asked_settings(settings: Mapping[str, Any]) -> Iterator[_Asked]:
    for name in settings:
        yield _Asked(f"override_settings.{name}", name, "options")
    yield _Asked(f"override_settings.{CHECKPOINT}", settings.get(CHECKPOINT), "sd-models")
    yield _Asked("override_settings.sd_vae", settings.get("sd_vae"), "sd-vae", ("Automatic", "None"))


def _key(kind: str, name: str) -> str:
    return name.lower() if kind.startswith("scripts") else name


def _entries(document: Any) -> list[dict[str, Any]]:
    return [item for item in document if isinstance(item, dict)] if isinstance(document, list) else []


def _named(*keys: str) -> Callable[[Any], Known]:
    def read(document: Any) -> Known:
        return {str(item[key]): str(item[keys[0]]) for item in _entries(document) for key in keys if item.get(key)}

    return read


def _models(document: Any) -> Known:
    """Every form in which the runtime takes a checkpoint's name, by its exact text, to its title."""
    known: dict[str, str] = {}
    for item in _entries(document):
        title = str(item.get("title", ""))
        name = title.rpartition(" [")[0] or title  # a hash in brackets is there once it has been computed
        hashes = [str(item[key]) for key in ("hash", "sha256") if item.get(key)]
        names = {title, name, str(item.get("model_name") or name), PurePath(str(item.get("filename") or name)).name}
        forms: Iterable[str] = (*names, *hashes, *(f"{one} [{mark}]" for one in names for mark in hashes))
        known |= {form: title for form in forms if form}
    return known


def _scripts(route: str) -> Callable[[Any], Known]:
    def read(document: Any) -> Known:
        listed = document.get(route) if isinstance(document, dict) else None
        return {str(name).lower(): str(name) for name in listed or ()}

    return read


def _settings(document: Any) -> Known:
    return {str(name): str(name) for name in document} if isinstance(document, dict) else {}


_READERS: dict[str, Callable[[Any], Known]] = {
    "samplers": _named("name"),
    "schedulers": _named("label", "name"),
    "sd-models": _models,
    "sd-vae": _named("model_name"),
    "upscalers": _named("name"),
    "latent-upscale-modes": _named("name"),
    "options": _settings,
    "scripts txt2img": _scripts("txt2img"),
    "scripts img2img": _scripts("img2img"),
}
_ROUTES = {"scripts txt2img": "scripts", "scripts img2img": "scripts"}
_WORDS = {
    "samplers": "samplers",
    "schedulers": "schedulers",
    "sd-models": "checkpoints",
    "sd-vae": "VAEs",
    "upscalers": "upscalers",
    _HIRES: "upscalers",
    "options": "settings",
    "scripts txt2img": "scripts",
    "scripts img2img": "scripts",
}
