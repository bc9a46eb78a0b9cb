"""Network blocks that several codecs share."""
