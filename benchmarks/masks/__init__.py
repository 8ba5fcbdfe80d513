"""Families that classify masks, against torch."""
