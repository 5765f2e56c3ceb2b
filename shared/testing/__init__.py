"""What tests need from the product: failpoints that are no-ops unless switched on, a still clock, bounded waiting."""
