"""Latents -> title, subtitles (OCR) and speech (ASR) of a video, in Chinese or English."""
