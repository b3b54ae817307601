"""How good a committee is on labelled text."""
