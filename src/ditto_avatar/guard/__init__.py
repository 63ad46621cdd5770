"""Open files of strangers in child processes that have limits."""
