"""The report over a period: one model, printed as HTML, Markdown, JSON or CSV."""
