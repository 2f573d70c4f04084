"""Benchmarks of training, search and analysis, each against a peer in the same run; no other package imports them."""
