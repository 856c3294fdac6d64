"""The two modellers: services that train digit readers and export them for circuits."""
