"""The one command `nitamono`, composed of each package's click group."""
