"""What a study is made of: runs, where they are kept, and what each needs."""
