"""Files cut short: what the first bytes of a picture in levels give, beside progressive JPEG and JPEG XL."""
