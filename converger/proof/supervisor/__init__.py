"""The process that owns one embedded database server. Standard library only; see `owner`."""
