"""Venues: places with rules of their own in which the goods of one market are traded."""
