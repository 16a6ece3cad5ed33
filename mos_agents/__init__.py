"""A laboratory for markets whose participants are independent and learn."""

__version__ = "0.1.0"
