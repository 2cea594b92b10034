"""Registry: versions, their stages and their files."""
