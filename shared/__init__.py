"""Mechanism that every service stands on; it holds no word of the domain.

A module is admitted when two services use it, it could be published as a library, and it has its own contract suite.
"""
