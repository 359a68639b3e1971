"""Getting the files of the known data sets: download, unpack, check, put in place."""
