"""Configurations: locations, composition, checks, and the objects built from them."""
