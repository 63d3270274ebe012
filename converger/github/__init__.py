"""The Action: settings from a runner's environment, events to decisions, and what is said on GitHub.

What is here knows nothing of Alembic or databases; `converger.converge` does the work in between.
"""
