"""What people and machines read: status documents, tables, Markdown and JSON, all from the same view of an analysis."""
