"""The library that the stages share. It imports nothing from stages/."""
