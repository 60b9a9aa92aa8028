"""Find the uploads that belong to none of your classes."""

__version__ = "0.1.0"
