"""How fast the markets run, and how far that is from a floor or a peer; `make bench`."""
