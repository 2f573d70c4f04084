"""Figures of one scenario, and their export to files. The report and the command may import it."""
