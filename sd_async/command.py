"""The process boundary of the command: errors become one sentence and an exit code, never a stack trace."""

import errno
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from sd_async.contract.errors import ContractError
from sd_async.errors import ApiError, SaveError, SdAsyncError, Unreachable, UsageError, WaitTimeout

EXIT_FAILED = 1
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h: not to be taken for a failed job
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells say it

EXIT_CODES: dict[type[Exception], int] = {
    ContractError: 2,
    UsageError: 2,
    SaveError: 2,
    ApiError: 3,
    Unreachable: 4,
    WaitTimeout: 5,
}


class App(click.Group):
    """A group whose `main` always ends the process with one of the documented codes."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002, FBT001, FBT002 - click's own signature
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002 - click's own signature
        **extra: Any,
    ) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        is_json = "--json" in given
        try:
            code = super().main(
                given, prog_name, complete_var, standalone_mode=False, windows_expand_args=windows_expand_args, **extra
            )
            sys.stdout.flush()
        except click.Abort:
            code = EXIT_INTERRUPTED
        except NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.ClickException as error:
            _report({"code": "usage", "message": _with_hint(error)}, is_json=is_json)
            code = error.exit_code
        except (ContractError, SdAsyncError) as error:
            _report(_as_object(error), is_json=is_json)
            code = EXIT_CODES[type(error)]
        except Exception as error:  # noqa: BLE001 - the process boundary
            code = _unexpected(error, is_json=is_json)
        sys.exit(code if isinstance(code, int) else 0)


def _report(error: dict[str, Any], *, is_json: bool) -> None:
    if is_json:
        click.echo(json.dumps({"error": error}), err=True)
        return
    where = f"{error['field']}: " if error.get("field") else ""
    request = f" (request {error['request_id']})" if error.get("request_id") else ""
    click.echo(f"sd-async: {where}{error['message']}{request}", err=True)


def _as_object(error: ContractError | SdAsyncError) -> dict[str, Any]:
    parts = {"code": error.code, "message": error.message}
    for name in ("field", "status", "request_id"):
        if (value := getattr(error, name, None)) is not None:
            parts[name] = value
    return parts


def _with_hint(error: click.ClickException) -> str:
    """Click's sentence, and where the options are explained."""
    context = getattr(error, "ctx", None)
    hint = f" See `{context.command_path} --help`." if context is not None else ""
    message = error.format_message()
    return f"{message}{'' if message.endswith(('.', '?')) else '.'}{hint}"


def _unexpected(error: Exception, *, is_json: bool) -> int:
    """A closed pipe ends the command quietly; all else is a bug, told by its place, since its text may hold a key."""
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        # what is left in the buffer would fail again when the interpreter flushes it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    message = f"This is a bug in sd-async: {type(error).__name__} at {place}; please report it."
    _report({"code": "bug", "message": message}, is_json=is_json)
    return EXIT_BUG
