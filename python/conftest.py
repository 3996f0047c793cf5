"""Loads the plugin from the sources, as the entry point of the installed package does."""

pytest_plugins = ["epm_lab.pytest_plugin"]
