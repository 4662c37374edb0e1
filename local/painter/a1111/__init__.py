"""The painter in the manners of AUTOMATIC1111's web UI: one lock, answers that are results, silent replacements."""
