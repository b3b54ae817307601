"""What is shown of results: charts, tables, pages, and the sentences that compare."""
