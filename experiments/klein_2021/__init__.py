"""Klein (2021), replicated: see README.md."""
