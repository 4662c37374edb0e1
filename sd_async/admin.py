"""`sd-async admin`: an operator's commands, which live in the repository and not in the client's package."""

import importlib
import sys
from pathlib import Path
from typing import Any

from sd_async.errors import UsageError

PROGRAM = "Pulumi.yaml"  # what tells the repository's folder from any other


def run(arguments: tuple[str, ...]) -> int:
    """Exit code of the operator's command. Raises: UsageError, when there is none here; click's own exceptions."""
    here = Path.cwd()
    if not (here / PROGRAM).exists() or not (here / "ops" / "cli.py").exists():
        raise UsageError("`sd-async admin` belongs to the program; run it in the folder of the repository.")
    sys.path.insert(0, str(here))
    try:
        commands: Any = importlib.import_module("ops.cli")
    except ModuleNotFoundError as error:
        raise UsageError(f"`sd-async admin` needs {error.name}; `make run` once installs what it needs.") from error
    code: int = commands.run(arguments)
    return code
