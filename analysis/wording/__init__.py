"""Numbers, metrics, settings and controls in words. Every room of `analysis` may import it."""
