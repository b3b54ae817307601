"""What is computed of measurements: intervals over seeds, fits, votes, the tidy table."""
