"""The five services. Each knows the others only by their `contract`, and only its own database."""
