"""The safe way, area by area: squares of 64x64 pixels that networks serve badly are coded beside them, plainly.

An area is coded *without loss*, its pixels in a lossless picture (drawings, text, dithers, patterns), or with a
*residual*, what the decoded picture lacks there by an 8x8 DCT (noise, detail finer than latents have room for).
Either changes the pixels of its area and no others, so no area can harm another, and knows nothing of the codec.
A picture that needs neither pays a thousandth of a bit.
"""
