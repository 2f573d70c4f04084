"""The first hour on a machine with a GPU: ``python -m benchmarks.gpu``; runs several other benchmarks."""
