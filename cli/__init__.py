"""The `nicodec` command: one module a command; each parses its arguments, calls the library and reports."""
