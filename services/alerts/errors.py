"""Errors that callers of alerts may read."""

from shared.errors import AppError, Category, invalid


def not_evaluated_yet(rule_type: str) -> AppError:
    """Return the error of a rule whose type the contract knows and this version does not evaluate."""
    return invalid(f"rules of the type {rule_type} are not evaluated by this version yet", field="type")


def unsupported_channel(channel_type: str) -> AppError:
    """Return the error of a channel whose type the contract knows and this version does not send to."""
    return invalid(f"channels of the type {channel_type} are not sent to by this version yet", field="type")


def name_taken() -> AppError:
    """Return the error of a name that is taken, perhaps by another tenant."""
    return AppError("conflict", Category.CONFLICT, "This name is taken already.")
