"""Data that others published: loading it, guessing where it comes from, and reporting what is wrong with it."""
