"""The search: a space of settings, what is asked of Optuna, and the runs it leads to."""
