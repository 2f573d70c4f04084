"""Rates of wrong and right claims: ``python -m benchmarks.confirmation_power``; imports `simulated_confirmations`."""
