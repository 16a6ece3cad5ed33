"""Asker, Fershtman and Pakes (2022), replicated: see README.md."""
