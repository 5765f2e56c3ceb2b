"""What can go wrong when the stack starts: one sentence that says what and how to mend it, and a distinct exit code."""


class StackError(Exception):
    """The stack cannot go on; `exit_code` tells scripts why."""

    exit_code = 1


class PortTakenError(StackError):
    """A port is in use by somebody else."""

    exit_code = 10


class AlreadyRunningError(StackError):
    """This home's stack runs already."""

    exit_code = 5


class DataFolderError(StackError):
    """The data folder is broken, full, or of another version."""

    exit_code = 11


class StartError(StackError):
    """A process did not become ready."""

    exit_code = 12


class MissingPartError(StackError):
    """Something that the stack needs is not installed."""

    exit_code = 13
