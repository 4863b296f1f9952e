"""The custom resources, one module per kind. Import them from ``concertmaster.api.types``."""
