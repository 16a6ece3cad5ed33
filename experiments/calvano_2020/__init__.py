"""Calvano, Calzolari, Denicolò and Pastorello (2020): pricing algorithms that learn to collude."""
