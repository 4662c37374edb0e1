"""The queue agent: takes one job at a time from a queue, has a runtime do it, and stores what comes out."""
