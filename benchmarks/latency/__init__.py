"""How fast an answer is, from text to label, beside what else one could use."""
