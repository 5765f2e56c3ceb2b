"""One module a workload, by its number in the design; each has `run(context)` and returns a table and raw numbers."""
