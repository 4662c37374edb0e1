"""Where the endpoint and the key come from: flags, then the environment, then one file.

Files are never mixed: a file that names only an endpoint must not receive the key of another one.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sd_async.errors import UsageError

LOCAL_FILE = Path(".sd-async.toml")
USER_FILE = Path(".config/sd-async/config.toml")

ENDPOINT = "SD_ASYNC_ENDPOINT"
API_KEY = "SD_ASYNC_API_KEY"
CONFIG = "SD_ASYNC_CONFIG"


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is known so far; None where nobody said it. runtime: used for a bare workflow."""

    endpoint: str | None = None
    api_key: str | None = field(default=None, repr=False)
    runtime: str | None = None


def load(flags: Config, file: Path | None, environ: Mapping[str, str], folder: Path, home: Path) -> Config:
    """Flags before the environment before the file.

    file: named by a flag, else by SD_ASYNC_CONFIG, else `.sd-async.toml` in `folder`, else the one in `home`.
    Raises: UsageError, when a named file is missing or any file is wrong.
    """
    stored = _stored(file, environ, folder, home)
    return Config(
        endpoint=flags.endpoint or environ.get(ENDPOINT) or stored.endpoint,
        api_key=flags.api_key or environ.get(API_KEY) or stored.api_key,
        runtime=flags.runtime or stored.runtime,
    )


def write_config(path: Path, endpoint: str, api_key: str, runtime: str | None = None) -> None:
    """Writes the file that `load` reads, readable by its owner only, whole or not at all."""
    values = {"endpoint": endpoint, "api_key": api_key, "runtime": runtime}
    text = "".join(f"{name} = {_toml_string(value)}\n" for name, value in values.items() if value is not None)
    part = path.with_name(f"{path.name}.{os.getpid()}.partial")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _stored(file: Path | None, environ: Mapping[str, str], folder: Path, home: Path) -> Config:
    named = file or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    if named is not None:
        if not named.is_file():
            raise UsageError(f"The configuration file {named} does not exist.")
        return _read(named)
    for candidate in (folder / LOCAL_FILE, home / USER_FILE):
        if candidate.is_file():
            return _read(candidate)
    return Config()


def _read(path: Path) -> Config:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The configuration file {path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise UsageError(f"The configuration file {path} is not TOML ({error}).") from error
    return Config(**{name: _text(path, name, value) for name, value in document.items()})


def _text(path: Path, name: str, value: Any) -> str:
    known = [item.name for item in fields(Config)]
    if name not in known:
        raise UsageError(f"The configuration file {path} holds `{name}`, which is none of {', '.join(known)}.")
    if not isinstance(value, str):
        raise UsageError(f"The configuration file {path} holds a `{name}` that is no text in quotes.")
    return value


def _toml_string(value: str) -> str:
    # A TOML basic string is a JSON string, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
