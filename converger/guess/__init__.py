"""A second opinion without a database: what two branches would do to each other, guessed from their source.

Nothing is executed. A guess is never a verdict: it can be wrong both ways, and says nothing of what only
running a revision would tell.
"""
