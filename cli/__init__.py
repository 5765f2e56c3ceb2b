"""The `gatehouse` command: a client of the HTTP API, and the embedded stack's launcher.

Data on stdout, words on stderr; exit 0 ok, 1 failed, 2 usage, 3 refused, 4 unreachable, 5 state conflict; never a secret in
a flag. Heavy modules are imported where they are used, for `--help` must be quick.
"""
