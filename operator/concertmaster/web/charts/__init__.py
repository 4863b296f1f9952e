"""Geometry of the charts: numbers for the templates, which draw SVG of them. No script is needed to see one."""
