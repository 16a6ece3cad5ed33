"""Avellaneda and Stoikov (2008): does a dealer who leans against its inventory earn more safely?"""
