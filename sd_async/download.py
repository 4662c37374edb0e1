"""Outputs of a job, from their presigned URLs into one folder.

A file's name is the output's own, without folders and without what a file system refuses. Two outputs of one
name, or a file that is already there with other content, get a number before the suffix: nothing is replaced.
A download that breaks leaves no part behind.
"""

import filecmp
from collections.abc import Callable
from pathlib import Path

import httpx

from sd_async.contract.jobs import Job, Output
from sd_async.errors import ApiError, SaveError
from sd_async.waiting import patiently
from sd_async.wire import mapped_errors, origin, retry_after_s

# File systems end a name at 255 bytes; the rest is for a number, and four bytes are the longest character.
MAX_NAME_BYTES = 200

_CHUNK_BYTES = 256 * 1024
# What Windows refuses in a name, beside control characters; elsewhere these only make trouble in shells.
_REFUSED = frozenset('<>:"|?*')


class Downloads:
    """http: must not add the API's key by itself, since presigned URLs lead elsewhere. again: the job, newly read."""

    def __init__(self, http: httpx.Client, sleep: Callable[[float], None], again: Callable[[str], Job]) -> None:
        self._http = http
        self._sleep = sleep
        self._again = again
        self._saved: list[Path] = []

    def save(self, job: Job, folder: Path) -> list[Path]:
        """Raises: ApiError, Unreachable, SaveError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for index, output in enumerate(job.outputs):
                self._save_one(job, output, folder, folder / f".{safe_name(job.id)}-{index}.partial")
        except OSError as error:
            reason = error.strerror or str(error)
            raise SaveError(f"The outputs cannot be saved in {folder} ({reason}); give another folder.") from error
        return self._saved

    def _save_one(self, job: Job, output: Output, folder: Path, part: Path) -> None:
        try:
            try:
                self._fetch(output, part)
            except ApiError as error:
                # S3 answers 403 to a URL whose time has passed; the API gives a new one for the asking.
                if error.status != httpx.codes.FORBIDDEN:
                    raise
                self._fetch(_same_output(self._again(job.id), output), part)
            self._saved.append(self._into_place(part, folder, safe_name(output.name)))
        finally:
            part.unlink(missing_ok=True)

    def _fetch(self, output: Output, part: Path) -> None:
        patiently(lambda: self._fetch_once(output, part), self._sleep)

    def _fetch_once(self, output: Output, part: Path) -> None:
        headers = {"accept-encoding": "identity"}
        with (
            mapped_errors(output.url),
            self._http.stream("GET", output.url, headers=headers, follow_redirects=True) as answer,
        ):
            if not answer.is_success:
                raise ApiError(
                    f"Output {safe_name(output.name)}: {origin(answer.url)} answered {answer.status_code}.",
                    status=answer.status_code,
                    code=f"http_{answer.status_code}",
                    retry_after_s=retry_after_s(answer),
                )
            part.unlink(missing_ok=True)
            with part.open("xb") as file:
                for chunk in answer.iter_bytes(_CHUNK_BYTES):
                    file.write(chunk)

    def _into_place(self, part: Path, folder: Path, name: str) -> Path:
        """Where the part now lies: under `name`, or the next free name when something else has that one."""
        number = 1
        target = folder / name
        while target.exists() or target.is_symlink():
            if target not in self._saved and _is_same_file(part, target):
                return target
            number += 1
            target = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
        part.rename(target)
        return target


def safe_name(name: str) -> str:
    """A name that stays inside its folder, on any file system; `output` when nothing is left of it."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(char if char.isprintable() and char not in _REFUSED else "_" for char in last).strip(" .")
    stem, suffix = Path(kept).stem, Path(kept).suffix[:16]
    room_bytes = MAX_NAME_BYTES - len(suffix.encode())
    return (stem.encode(errors="replace")[:room_bytes].decode(errors="ignore") + suffix) or "output"


def _is_same_file(part: Path, target: Path) -> bool:
    return target.is_file() and not target.is_symlink() and filecmp.cmp(part, target, shallow=False)


def _same_output(job: Job, output: Output) -> Output:
    for candidate in job.outputs:
        if candidate.s3_uri == output.s3_uri:
            return candidate
    raise SaveError(f"Job {job.id} no longer has the output {safe_name(output.name)}.")
