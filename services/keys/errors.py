"""Errors that callers of keys may read."""

from shared.errors import AppError, Category


def lacking(permission: str) -> AppError:
    """Return the error of granting what one does not hold."""
    return AppError("forbidden", Category.FORBIDDEN, f"You cannot grant {permission}, for you do not hold it.")


def not_your_tenant() -> AppError:
    """Return the error of acting for another tenant without `tenants:all`."""
    return AppError("forbidden", Category.FORBIDDEN, "You may only act for your own tenant.")
