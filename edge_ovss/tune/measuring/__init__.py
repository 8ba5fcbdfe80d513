"""Make and measure one candidate, in processes that may fail without ending the run."""
