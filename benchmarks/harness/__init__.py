"""Command line, rounds, verdicts and workloads that several benchmarks share; imports no other room of benchmarks."""
