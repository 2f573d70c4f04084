"""What the project's claims of speed and of early stopping rerun: ``python -m benchmarks.NAME`` in the checkout."""
