"""Work that is spread over processes on several machines, by Ray. Run by `extract` and by predict."""
