"""Files that are downloaded: listed, fetched, resumed and checked."""
