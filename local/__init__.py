"""The embedded default: the same program, chart, functions and agent, wired on one machine."""
