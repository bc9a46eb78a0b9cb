"""Rate and distortion of clips: nicodec's codecs beside x264, x265, SVT-AV1 and VP9, on any folder of clips."""
