"""Tables as Markdown, LaTeX, CSV and for the terminal, and the numbers of the paper."""
