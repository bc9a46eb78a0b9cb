"""Motion of clips: the field of vectors, its search and its coding, and what is predicted with it."""
