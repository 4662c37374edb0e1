"""The contract between clients, API, queue and agents: types and codecs, no I/O."""
