"""Participants as independent actors around one clearing house, in this process or on a cluster."""
