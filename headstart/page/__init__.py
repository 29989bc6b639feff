"""The report as a page: what is shown, in words, in charts and in pictures. Run by the stage `report`."""
