"""Pictures of any folder, Parquet file or list of videos in, parts of small upright JPEGs out, each content once."""
