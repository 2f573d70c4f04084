"""The search: a space of settings, the trials that Optuna proposes, their training, confirmation and records."""
