"""The page for people who want to know what a file is: its verdict, why, and what was changed."""
