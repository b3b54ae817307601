"""What every other package rests on: errors, files, seeds, runs, progress. Imports nothing of tinylm but itself."""
