"""A case in, what a vision-language model thinks of it out: questions, answers, votes."""
