"""Enclosures over boxes of initial states, and what they prove."""
