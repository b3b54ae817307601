"""How much disk space the base package takes."""
