"""What each section of the page shows, a module for each."""
