"""A scene -> a moving picture -> an H.264 clip."""
