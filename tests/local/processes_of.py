"""Processes of this machine by what they were started with, where the system tells (Linux)."""

from pathlib import Path


def processes_with(text: str) -> dict[int, str]:
    """Command lines of running processes that have the text in their command line or environment."""
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
        if text.encode() in command + environment:
            found[int(folder.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found
