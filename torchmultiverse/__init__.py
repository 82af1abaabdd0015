"""Controlled visual worlds for testing vision models."""

__version__ = "0.1.0"
