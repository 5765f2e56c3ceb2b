"""What other services may know of backup."""
