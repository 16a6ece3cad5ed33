"""Hartline, Long and Zhang (2024), replicated."""
