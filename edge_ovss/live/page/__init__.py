"""The page that shows a run in a browser: for boards without a screen."""
