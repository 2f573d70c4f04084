"""Complete curves of many trials, and searches replayed over them; imported by benchmarks of the search's decisions."""
