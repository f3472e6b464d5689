"""Calculates with materials."""
