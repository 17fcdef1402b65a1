"""Detector geometry in CrystFEL's terms: reading, writing, layout and pixel maps."""
