"""Configurations: where they lie, how they are composed and checked, and the objects built from them."""
