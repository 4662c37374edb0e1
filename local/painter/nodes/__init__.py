"""The nodes that the painter knows, as rows: interface and function side by side."""
