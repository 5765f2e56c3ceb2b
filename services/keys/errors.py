"""Errors that callers of keys may read."""

from shared.errors import AppError, Category


def lacking(permission: str) -> AppError:
    """Return the error of granting what one does not hold."""
    return AppError("forbidden", Category.FORBIDDEN, f"You cannot grant {permission}, for you do not hold it.")


def not_your_tenant() -> AppError:
    """Return the error of acting for another tenant without `tenants:all`."""
    return AppError("forbidden", Category.FORBIDDEN, "You may only act for your own tenant.")


def idempotency_mismatch() -> AppError:
    """Return the error of an Idempotency-Key that was used with another body."""
    return AppError("idempotency_mismatch", Category.INVALID, "This Idempotency-Key was used with another body.")
