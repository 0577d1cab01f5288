"""The whole: a real Home Assistant in a real browser."""
