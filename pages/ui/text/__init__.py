"""The words of the pages, one file a page, so that they can be translated."""
