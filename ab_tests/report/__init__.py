"""What an analysis found in, a page and a Markdown text that people can read out."""
